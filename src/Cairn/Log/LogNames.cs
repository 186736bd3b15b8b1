using System.Globalization;

namespace Cairn.Log;

/// <summary>Names in a database directory: numbers, never a user's text.</summary>
internal static class LogNames
{
    internal const string Root = "";
    internal const string LogDirectory = "log";
    internal const string QuarantineDirectory = "quarantine";
    internal const string TableDirectory = "tables";
    internal const string ArchiveDirectory = "archives";
    internal const string Lock = "LOCK";
    internal const string Reserve = "reserve";
    internal const string Prepared = "prepared";
    internal const string PreparedPath = LogDirectory + "/" + Prepared;

    /// <summary>The list of a backup's files: a directory that has it is a backup and no database.</summary>
    internal const string Backup = "backup.jsonl";

    /// <summary>While a salvage fills a database: what is there is not all that will be, and does not open.</summary>
    internal const string Salvaging = "salvaging";

    /// <summary>Ending of a file that is being written; such files are removed at open.</summary>
    internal const string Part = ".part";

    private const string ManifestPrefix = "manifest-";
    private const string SegmentSuffix = ".segment";
    private const string TableSuffix = ".table";
    private const string ArchiveSuffix = ".archive";
    private const int Digits = 10;

    internal static string Manifest(ulong number) => ManifestPrefix + Number(number);

    internal static string Segment(uint number) => Number(number) + SegmentSuffix;

    internal static string SegmentPath(uint number) => LogDirectory + "/" + Segment(number);

    internal static bool TryParseManifest(string name, out ulong number)
    {
        number = 0;
        return name.StartsWith(ManifestPrefix, StringComparison.Ordinal) && TryParseNumber(name.AsSpan(ManifestPrefix.Length), out number);
    }

    internal static string Table(uint number) => Number(number) + TableSuffix;

    internal static string TablePath(uint number) => TableDirectory + "/" + Table(number);

    internal static string ArchivePath(uint number) => ArchiveDirectory + "/" + Number(number) + ArchiveSuffix;

    internal static bool TryParseSegment(string name, out uint number) => TryParse(name, SegmentSuffix, out number);

    internal static bool TryParseTable(string name, out uint number) => TryParse(name, TableSuffix, out number);

    internal static bool TryParseArchive(string name, out uint number) => TryParse(name, ArchiveSuffix, out number);

    private static bool TryParse(string name, string suffix, out uint number)
    {
        number = 0;
        if (!name.EndsWith(suffix, StringComparison.Ordinal)
            || !TryParseNumber(name.AsSpan(0, name.Length - suffix.Length), out var value) || value > uint.MaxValue)
            return false;
        number = (uint)value;
        return true;
    }

    private static string Number(ulong number) => number.ToString("D10", CultureInfo.InvariantCulture);

    private static bool TryParseNumber(ReadOnlySpan<char> digits, out ulong number)
    {
        number = 0;
        return digits.Length == Digits
            && ulong.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out number) && number > 0;
    }
}
