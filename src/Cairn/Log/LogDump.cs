using System.Globalization;
using System.Text;

namespace Cairn.Log;

/// <summary>One readable line per record: position, sequence, durable-up-to, checks, and of a transaction its runs and operation
/// codes with the lengths of key and body. Never keys or values: those may be secrets.</summary>
internal static class LogDump
{
    internal static string Line(in RecordHeader header, ReadOnlySpan<byte> payload, ulong position)
    {
        var line = new StringBuilder();
        line.Append(CultureInfo.InvariantCulture, $"{position,10} @{header.Sequence} {Name(header.Type)} {header.Length} B");
        line.Append(CultureInfo.InvariantCulture, $" durable {header.DurableUpTo} chain {header.Chain:x8} check {header.PayloadCheck:x8}");
        try
        {
            Describe(line, header.Type, payload);
        }
        catch (MalformedPayloadException malformed)
        {
            line.Append(CultureInfo.InvariantCulture, $" MALFORMED, expected {malformed.Expected}");
        }

        return line.ToString();
    }

    /// <summary>The lines of a living log from a position on.</summary>
    internal static IEnumerable<string> Lines(SegmentedLog log, ulong fromPosition)
    {
        using var reader = new LogReader(log);
        for (var position = fromPosition; reader.HasRecordAt(position);)
        {
            var header = reader.ReadNext(ref position, out var payload);
            var line = Line(header, payload, position);
            position += (ulong)header.RecordLength;
            yield return line;
        }
    }

    private static void Describe(StringBuilder line, RecordType type, ReadOnlySpan<byte> payload)
    {
        if (type == RecordType.Open && Opening.TryRead(payload, out var opening))
            line.Append(CultureInfo.InvariantCulture, $" epoch {opening.Epoch} time {opening.CommitTime}");
        if (type == RecordType.Seal && Seal.TryRead(payload, out var seal))
            line.Append(CultureInfo.InvariantCulture, $" records {seal.RecordCount} last @{seal.LastSequence} sha256 {seal.Digest}");
        if (type != RecordType.Transaction)
            return;

        var transaction = new TransactionPayload(payload);
        line.Append(CultureInfo.InvariantCulture, $" time {transaction.CommitTime} attributes {transaction.Attributes.Length} B");
        while (transaction.MoveNext(out var part))
        {
            line.Append(CultureInfo.InvariantCulture, $" | {part.Run}");
            if (part.Previous != RunPart.NoPrevious)
                line.Append(CultureInfo.InvariantCulture, $" after {part.Previous}");
            line.Append(':');
            while (part.MoveNext(out var operation))
                line.Append(CultureInfo.InvariantCulture, $" {operation.Code:X2}({operation.Key.Length}+{operation.Body.Length})");
        }
    }

    internal static string Name(RecordType type) => type switch
    {
        RecordType.Transaction => "transaction",
        RecordType.DurableMark => "mark",
        RecordType.Seal => "seal",
        RecordType.Open => "open",
        _ => $"type {(byte)type:X2}",
    };
}
