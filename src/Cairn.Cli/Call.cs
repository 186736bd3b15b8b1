using System.CommandLine;
using System.Globalization;
using Spectre.Console;

namespace Cairn.Cli;

/// <summary>One call of one verb: its arguments, the database that it needs, and its answers. Disposing closes the database.</summary>
internal sealed class Call(Verb verb, ParseResult parsed, Streams streams) : IDisposable
{
    /// <summary>Longest text read from standard input: more than any value may have, also with every character escaped.</summary>
    internal const int InputCharsMax = 8 * (64 << 20);

    /// <summary>Reading less than this needs no bar.</summary>
    internal const long LongBytes = 32 << 20;

    private CairnDatabase? _database;
    private Run? _run;
    private string? _input;

    internal Streams Streams => streams;

    internal bool IsJson { get; } = parsed.GetValue(GlobalOptions.Json);

    internal string Directory { get; } = parsed.GetValue(GlobalOptions.Db)!;

    internal Durability Durability { get; } = parsed.GetValue(GlobalOptions.Durability);

    internal CairnDatabase Database => _database ??= verb.Writes ? OpenForWriting() : OpenForReading(streams, Directory, IsJson);

    /// <summary>The database for a writing verb that was asked to write nothing: it does not take the writer's lock.</summary>
    internal CairnDatabase DatabaseToLookAt => _database ??= OpenForReading(streams, Directory, IsJson);

    internal Run Run => _run ??= RunNames.Find(
        RunsOf(Database), parsed.GetValue(GlobalOptions.Run)!, begin: verb.Needs == Needs.WriteRun);

    /// <summary>The runs of the database; what is written through them tells who wrote it.</summary>
    internal Runs Runs => RunsOf(Database);

    // What is written through these tells who wrote it, if that was said.
    private Runs RunsOf(CairnDatabase database) => (parsed.GetValue(GlobalOptions.Actor), parsed.GetValue(GlobalOptions.Tool)) switch
    {
        (null, null) => database.Runs,
        var (actor, tool) => database.Runs.With(new CommitOptions { Attributes = new CommitAttributes { Actor = actor, Tool = tool } }),
    };

    /// <summary>Under --once: the transaction that the verb writes in, and where its answer is kept until that has committed.</summary>
    internal OnceAnswer? Once { get; set; }

    // The faces that a verb writes through.
    internal Kv Kv => Once?.Transaction.Kv ?? Run.Kv;

    internal Events Events => Once?.Transaction.Events ?? Run.Events;

    internal State State => Once?.Transaction.State ?? Run.State;

    internal Json Json => Once?.Transaction.Json ?? Run.Json;

    internal VectorCollections Vectors => Once?.Transaction.Vectors ?? Run.Vectors;

    internal Traces Traces => Once?.Transaction.Traces ?? Run.Traces;

    internal ConceptGraph Graph => Once?.Transaction.Graph ?? Run.Graph;

    internal Indexes Indexes => Once?.Transaction.Run.Indexes ?? Run.Indexes;

    internal Subscriptions Subscriptions => Once?.Transaction.Subscriptions ?? Run.Subscriptions;

    /// <summary>The whole standard input, read once.</summary>
    /// <exception cref="RefusedException">It is longer than any value.</exception>
    internal string Input => _input ??= streams.ReadAll(InputCharsMax);

    internal T? Get<T>(Option<T> option) => parsed.GetValue(option);

    internal T Get<T>(Argument<T> argument) => parsed.GetValue(argument)!;

    internal bool IsGiven(Option option) => parsed.GetResult(option) is { Implicit: false };

    /// <summary>Read-only after a clean close; otherwise once for writing, which recovers.</summary>
    internal static CairnDatabase OpenForReading(Streams streams, string directory, bool isJson)
    {
        if (directory.Length == 0)
            throw new UsageException("--db is empty.");
        try
        {
            return CairnDatabase.Open(directory, new CairnOptions { IsReadOnly = true });
        }
        catch (CairnException needsRecovery) when (needsRecovery.Code == ErrorCode.ReadOnly)
        {
            var database = CairnDatabase.Open(directory, new CairnOptions { CreateIfMissing = false });
            Say(streams, database.Recovery, isJson);
            return database;
        }
    }

    private CairnDatabase OpenForWriting()
    {
        if (Directory.Length == 0)
            throw new UsageException("--db is empty.");
        var database = CairnDatabase.Open(Directory, new CairnOptions { Durability = Durability });
        Say(streams, database.Recovery, IsJson);
        return database;
    }

    private static void Say(Streams streams, RecoveryReport recovery, bool isJson)
    {
        if (isJson || recovery.IsNew || recovery.WasClosedCleanly)
            return;
        var cut = recovery.Cut is { } bytes ? $", {bytes.Bytes} bytes cut that were never acknowledged" : "";
        streams.Error.WriteLine($"cairn: recovered after a crash: {recovery.Transactions} transactions{cut}; see 'cairn stat'");
    }

    // ---- answers --------------------------------------------------------------------------------------------------------------

    /// <summary>One answer: an object for machines, a line for people.</summary>
    internal int Answer(string text, params ReadOnlySpan<(string Name, Value Value)> members)
    {
        if (Once is { } once)
            return once.Keep(text, Value.Object(members));
        streams.Out.WriteLine(IsJson ? Value.Object(members).ToJson() : text);
        return ExitCodes.Ok;
    }

    /// <summary>An answer that may be no.</summary>
    internal int Answer(bool isYes, string text, params ReadOnlySpan<(string Name, Value Value)> members)
    {
        Answer(text, members);
        return isYes ? ExitCodes.Ok : ExitCodes.Negative;
    }

    /// <summary>Nothing of that name is there: silence and exit code 1, or an object that says so.</summary>
    internal int Absent(string member, Value asked) =>
        IsJson ? Answer(false, "", (member, asked), ("found", false)) : ExitCodes.Negative;

    /// <summary>What a commit answers.</summary>
    internal int Wrote(Sequence sequence) => Answer(Text("", sequence), ("sequence", Failures.Number(sequence)));

    /// <summary>A text and the sequence behind it. Under --once the sequence is not known yet: it is put there when it is.</summary>
    internal string Text(string text, Sequence sequence) =>
        Once is not null ? text : text.Length == 0 ? sequence.ToString() : $"{text} {sequence}";

    /// <summary>A list: one JSON document per row, a table, or tab-separated lines.</summary>
    internal int List<T>(IEnumerable<T> items, Func<T, (string Name, Value Value)[]> members, params ReadOnlySpan<Column<T>> columns)
    {
        if (Once is { } once)
        {
            foreach (var item in items)
                once.Keep(columns[0].Text(item), Value.Object(members(item)));
            return ExitCodes.Ok;
        }

        if (IsJson)
        {
            foreach (var item in items)
                streams.Out.WriteLine(Value.Object(members(item)).ToJson());
            return ExitCodes.Ok;
        }

        var shown = columns.ToArray();
        if (!streams.IsTerminal)
        {
            foreach (var item in items)
                streams.Out.WriteLine(string.Join('\t', shown.Select(column => Streams.OneLine(column.Text(item)))));
            return ExitCodes.Ok;
        }

        var table = new Table { Border = TableBorder.Simple };
        foreach (var column in shown)
        {
            table.AddColumn(new TableColumn(new PlainText(column.Title, new Style(decoration: Decoration.Bold)))
            {
                Alignment = column.Alignment,
                NoWrap = column != shown[^1],
            });
        }

        foreach (var item in items)
            table.AddRow(shown.Select(column => new PlainText(Streams.OneLine((column.Short ?? column.Text)(item)))));
        streams.Page.Write(table);
        return ExitCodes.Ok;
    }

    /// <summary>Named figures: one JSON object, or a line each.</summary>
    internal int Figures(Value json, IEnumerable<(string Name, string Text)> lines)
    {
        if (IsJson)
        {
            streams.Out.WriteLine(json.ToJson());
            return ExitCodes.Ok;
        }

        if (!streams.IsTerminal)
        {
            foreach (var (name, text) in lines)
                streams.Out.WriteLine($"{name}\t{Streams.OneLine(text)}");
            return ExitCodes.Ok;
        }

        var grid = new Grid().AddColumn(new GridColumn().NoWrap()).AddColumn();
        foreach (var (name, text) in lines)
            grid.AddRow(new PlainText(name, new Style(Color.Grey)), new PlainText(Streams.OneLine(text)));
        streams.Page.Write(grid);
        return ExitCodes.Ok;
    }

    /// <summary>Something that may take long: on a terminal a bar shows how far it is, and goes when it is over.</summary>
    /// <param name="most">What the progress ends at; below <see cref="LongBytes"/> there is no bar.</param>
    internal T Watched<T>(string title, long most, Func<IProgress<long>?, T> work)
    {
        if (IsJson || !streams.IsTerminal || most < LongBytes)
            return work(null);
        return streams.Page.Progress().AutoClear(true)
            .Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn(), new PercentageColumn(),
                new RemainingTimeColumn())
            .Start(progress => work(new Bar(progress.AddTask(title, maxValue: most))));
    }

    /// <summary>The same for what can be cancelled: an interrupt ends it, and it takes back what it began.</summary>
    internal T Watched<T>(string title, Func<IProgress<TransferProgress>?, CancellationToken, T> work)
    {
        using var interruption = new Interruption();
        if (IsJson || !streams.IsTerminal)
            return work(null, interruption.Token);
        return streams.Page.Progress().AutoClear(true)
            .Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn(), new PercentageColumn(),
                new RemainingTimeColumn())
            .Start(progress => work(new TransferBar(progress.AddTask(title), title), interruption.Token));
    }

    private sealed class TransferBar(ProgressTask task, string title) : IProgress<TransferProgress>
    {
        public void Report(TransferProgress value)
        {
            task.MaxValue = Math.Max(1, value.Total);
            task.Value = Math.Min(value.Done, value.Total);
            task.Description = Markup.Escape($"{title} {value.Step}");
        }
    }

    private sealed class Bar(ProgressTask task) : IProgress<long>
    {
        public void Report(long value) => task.Value = value;
    }

    /// <summary>All pages of a listing, one after another, up to a limit.</summary>
    internal IEnumerable<T> Pages<T>(int? limit, Func<int, string?, Page<T>> read)
    {
        var left = limit ?? int.MaxValue;
        string? cursor = null;
        do
        {
            var page = read(Math.Min(left, Database.Limits.PageSizeMax), cursor);
            foreach (var item in page)
                yield return item;
            left -= page.Count;
            cursor = page.Cursor;
        }
        while (cursor is not null && left > 0);
    }

    /// <summary>Lets go of the database; the next use opens it again.</summary>
    internal void Close()
    {
        _database?.Dispose();
        _database = null;
        _run = null;
    }

    public void Dispose() => Close();
}

/// <summary>A column of a list.</summary>
/// <param name="Short">What a table on a terminal shows instead.</param>
internal sealed record Column<T>(string Title, Func<T, string> Text, Justify Alignment = Justify.Left, Func<T, string>? Short = null)
{
    /// <summary>A time: to the microsecond, and on a terminal to the second.</summary>
    internal static Column<T> OfTime(string title, Func<T, DateTimeOffset?> time) =>
        new(title, item => Show.Time(time(item)), Short: item => Show.Moment(time(item)));
}

/// <summary>How things look in text and in JSON.</summary>
internal static class Show
{
    /// <summary>A String as it is, anything else as JSON.</summary>
    internal static string Text(Value value) => value.Kind == ValueKind.String ? value.AsString() : value.ToJson();

    /// <summary>UTC, to the microsecond.</summary>
    internal static string Time(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'",
        CultureInfo.InvariantCulture);

    /// <summary>UTC, to the second.</summary>
    internal static string Moment(DateTimeOffset? time) =>
        time is { } known ? known.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture) : "-";

    internal static string Time(DateTimeOffset? time) => time is { } known ? Time(known) : "-";

    /// <summary>Microseconds since 1970, as everywhere on the wire.</summary>
    internal static Value Microseconds(DateTimeOffset time) =>
        (time.UtcTicks - DateTimeOffset.UnixEpoch.Ticks) / TimeSpan.TicksPerMicrosecond;

    internal static Value Microseconds(DateTimeOffset? time) => time is { } known ? Microseconds(known) : Value.Null;

    internal static string Number(long number) => number.ToString("N0", CultureInfo.InvariantCulture);

    /// <summary>For machines: digits only.</summary>
    internal static string Plain(long number) => number.ToString(CultureInfo.InvariantCulture);

    internal static string Bytes(long bytes) => bytes switch
    {
        < 10_000 => $"{Number(bytes)} B",
        < 10_000_000 => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1024.0:F1} KiB"),
        < 10_000_000_000 => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1048576.0:F1} MiB"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1073741824.0:F1} GiB"),
    };

    internal static string Duration(TimeSpan duration) => duration.TotalMilliseconds switch
    {
        < 1 => string.Create(CultureInfo.InvariantCulture, $"{duration.TotalMicroseconds:F0} µs"),
        < 10 => string.Create(CultureInfo.InvariantCulture, $"{duration.TotalMilliseconds:F2} ms"),
        < 1000 => string.Create(CultureInfo.InvariantCulture, $"{duration.TotalMilliseconds:F0} ms"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{duration.TotalSeconds:F2} s"),
    };

    internal static Value Milliseconds(TimeSpan duration) => Math.Round(duration.TotalMilliseconds, 3);

    internal static (string Name, Value Value)[] Members(Versioned<Value> found, params ReadOnlySpan<(string Name, Value Value)> more) =>
    [
        .. more,
        ("value", found.Value),
        ("version", Failures.Number(found.Version)),
        ("created", Failures.Number(found.Created)),
        ("time_us", Microseconds(found.Time)),
        ("expiry_us", Microseconds(found.Expiry)),
    ];
}
