using System.Globalization;
using System.Text;
using Xunit;

namespace Cairn.Tests.Tidy;

/// <summary>docs/errors.md is the catalogue of <see cref="ErrorCode"/>. All columns but the remedy come from the code.</summary>
public class ErrorsPageTests
{
    private const string Page = "docs/errors.md";

    private const string Head =
        "| code | name | exception | transient | deterministic | meaning | remedy |\n|---|---|---|---|---|---|---|\n";

    private static readonly RecordedInput Input = new() { Ordinal = 0, Kind = InputKind.Tool, Failure = new InputFailure("", "") };

    // One of each, as the engine makes them.
    private static readonly Dictionary<ErrorCode, CairnException> Typed = new()
    {
        [ErrorCode.InvalidPath] = new MalformedTextException(ErrorCode.InvalidPath, "path", 0, ""),
        [ErrorCode.InvalidFilter] = new MalformedTextException(ErrorCode.InvalidFilter, "filter", 0, ""),
        [ErrorCode.PathNotFound] = new DocumentException(ErrorCode.PathNotFound, "$", ""),
        [ErrorCode.TypeMismatch] = new DocumentException(ErrorCode.TypeMismatch, "$", ""),
        [ErrorCode.TestFailed] = new DocumentException(ErrorCode.TestFailed, "$", "", 0),
        [ErrorCode.Conflict] = new ConflictException("kv", "key", "", default, default),
        [ErrorCode.InvalidTransition] = new InvalidTransitionException(default, RunStatus.Archived, RunStatus.Active),
        [ErrorCode.RunClosed] = new RunClosedException(default, RunStatus.Archived),
        [ErrorCode.VersionMismatch] = new VersionMismatchException("kv", "key", 1, 2),
        [ErrorCode.Busy] = Busy(ErrorCode.Busy),
        [ErrorCode.DiskFull] = Busy(ErrorCode.DiskFull),
        [ErrorCode.RateLimited] = Busy(ErrorCode.RateLimited),
        [ErrorCode.LimitExceeded] = new LimitException("DepthMax", 1, 2, "levels"),
        [ErrorCode.QuotaExceeded] = new LimitException("quota", 1, 2, "bytes", ErrorCode.QuotaExceeded),
        [ErrorCode.Corruption] = new CorruptionException("file", 0, default, "a record"),
        [ErrorCode.FormatVersion] = new FormatVersionException("file", "2.0", "1.0"),
        [ErrorCode.DatabaseFailed] = Failed(ErrorCode.DatabaseFailed),
        [ErrorCode.OutcomeUnknown] = Failed(ErrorCode.OutcomeUnknown),
        [ErrorCode.Fenced] = Failed(ErrorCode.Fenced),
        [ErrorCode.InvalidCursor] = new CursorException(CursorFault.Damaged, default, null),
        [ErrorCode.ReplayDivergence] = new ReplayDivergenceException(Input, null, ""),
        [ErrorCode.InputFailed] = new InputFailedException(Input, null),
        [ErrorCode.HistoryTrimmed] = new HistoryTrimmedException(default(Sequence), default),
    };

    [Fact]
    public void The_page_holds_the_table_of_the_code()
    {
        var remedies = Remedies();
        var table = new StringBuilder(Head);
        foreach (var code in Enum.GetValues<ErrorCode>().Where(code => code != ErrorCode.None))
        {
            var error = Typed.GetValueOrDefault(code) ?? new CairnException(code, "");
            Assert.Equal(code, error.Code);
            Assert.True(remedies.TryGetValue(code.ToString(), out var remedy) && remedy.Length > 0, $"{Page}: {code} has no remedy");
            var meaning = XmlDocs.Summary($"F:Cairn.ErrorCode.{code}");
            table.Append(CultureInfo.InvariantCulture, $"| {(int)code} | `{code}` | `{error.GetType().Name}` ");
            table.Append(CultureInfo.InvariantCulture, $"| {YesNo(error.IsTransient)} | {YesNo(error.IsDeterministic)} ");
            table.Append(CultureInfo.InvariantCulture, $"| {meaning} | {remedy} |\n");
        }

        MadePage.ComparePart(Page, "errors", table.ToString());
    }

    [Fact]
    public void Every_exception_type_is_in_the_catalogue()
    {
        var types = typeof(CairnException).Assembly.GetExportedTypes().Where(type => type.IsSubclassOf(typeof(CairnException)));
        Assert.Equal(types.Order(TypeOrder), Typed.Values.Select(error => error.GetType()).Distinct().Order(TypeOrder));
    }

    private static Comparer<Type> TypeOrder => Comparer<Type>.Create((left, right) => string.CompareOrdinal(left.Name, right.Name));

    private static BusyException Busy(ErrorCode code) => new(code, "", TimeSpan.Zero);

    private static DatabaseFailedException Failed(ErrorCode code) => new(code, "");

    // By name, from the rows as they stand: the second column and the last.
    private static Dictionary<string, string> Remedies() => Repository.Lines(Page)
        .Where(line => line.StartsWith("| ", StringComparison.Ordinal))
        .Select(line => line.Split('|', StringSplitOptions.TrimEntries))
        .Where(cells => cells.Length >= 4)
        .GroupBy(cells => cells[2].Trim('`'), StringComparer.Ordinal)
        .ToDictionary(rows => rows.Key, rows => rows.First()[^2], StringComparer.Ordinal);

    private static string YesNo(bool yes) => yes ? "yes" : "no";
}
