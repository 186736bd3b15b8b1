using System.Globalization;

namespace Cairn.Bench.Harness;

/// <summary>Bytes that this process wrote so far, from <c>/proc/self/io</c>.</summary>
/// <param name="Calls">Given to the system by write calls: every byte once for each time it is written.</param>
/// <param name="Device">Of pages that were made dirty: what the device gets, a page that is written twice before it goes out counted
/// once.</param>
internal readonly record struct WrittenBytes(long Calls, long Device)
{
    internal static WrittenBytes Now()
    {
        var fields = File.ReadLines("/proc/self/io").Select(line => line.Split(": ", 2))
            .ToDictionary(pair => pair[0], pair => long.Parse(pair[1], CultureInfo.InvariantCulture), StringComparer.Ordinal);
        return new WrittenBytes(fields["wchar"], fields["write_bytes"]);
    }

    public static WrittenBytes operator -(WrittenBytes left, WrittenBytes right) =>
        new(left.Calls - right.Calls, left.Device - right.Device);
}
