using System.Buffers;
using Cairn.Storage;

namespace Cairn.Log;

/// <summary>What stands behind a bad record: the evidence for the verdict, and the count for the error message. Sequences and
/// chains cannot be compared there; salt and position in the header check suffice to know a header of this very place.</summary>
/// <param name="Witness">Highest durable-up-to of the right headers, whether their payload is good or not; 0 without any.</param>
/// <param name="GoodRecords">Records that are whole.</param>
/// <param name="FirstGood">Where the first whole record begins.</param>
/// <param name="FirstSequence">Of the first whole record.</param>
/// <param name="LastSequence">Of the last whole record.</param>
/// <param name="NonZeroEnd">Offset behind the last byte that is not zero; 0 when all are.</param>
internal readonly record struct TailSurvey(
    ulong Witness, long GoodRecords, ulong FirstGood, ulong FirstSequence, ulong LastSequence, long NonZeroEnd)
{
    private const int WindowBytes = 1 << 20;

    /// <summary>Looks at the file from a position to an offset: on by a right header's length, else every 8 bytes.</summary>
    internal static TailSurvey Of(IFile file, ReadOnlySpan<byte> salt, ulong basePosition, ulong fromPosition, long endOffset)
    {
        var salted = RecordFrame.Salted(salt);
        var buffer = ArrayPool<byte>.Shared.Rent(WindowBytes);
        var offset = SegmentHeader.Size + (long)(fromPosition - basePosition);
        var survey = new TailSurvey { NonZeroEnd = FindNonZeroEnd(file, buffer, offset, endOffset) };
        var window = default(ReadOnlySpan<byte>);
        var windowOffset = offset;
        while (offset < survey.NonZeroEnd)
        {
            var behind = offset - windowOffset;
            var isAtEnd = windowOffset + window.Length >= endOffset;
            if (behind >= window.Length || (window.Length - behind < RecordHeader.Size && !isAtEnd))
            {
                var wanted = (int)Math.Min(buffer.Length, endOffset - offset);
                window = buffer.AsSpan(0, file.ReadAt(buffer.AsSpan(0, wanted), offset));
                windowOffset = offset;
                behind = 0;
            }

            // The first word of a header is never zero: it holds the type.
            var rest = window[(int)behind..];
            var zeros = rest.IndexOfAnyExcept((byte)0);
            if (zeros is < 0 or >= RecordFrame.Alignment)
            {
                offset += zeros < 0 ? Math.Max(rest.Length, 1) : zeros & ~(RecordFrame.Alignment - 1);
                continue;
            }

            var position = basePosition + (ulong)(offset - SegmentHeader.Size);
            if (rest.Length < RecordHeader.Size || !RecordHeader.TryRead(rest, out var header)
                || !RecordFrame.IsHeaderRight(salted, position, rest))
            {
                offset += RecordFrame.Alignment;
                continue;
            }

            survey = survey.With(header, position, IsPayloadGood(file, salted, offset, endOffset, header));
            offset += header.RecordLength;
        }

        ArrayPool<byte>.Shared.Return(buffer);
        return survey;
    }

    private TailSurvey With(in RecordHeader header, ulong position, bool isGood) => this with
    {
        Witness = Math.Max(Witness, header.DurableUpTo),
        GoodRecords = GoodRecords + (isGood ? 1 : 0),
        FirstGood = isGood && GoodRecords == 0 ? position : FirstGood,
        FirstSequence = isGood && GoodRecords == 0 ? header.Sequence : FirstSequence,
        LastSequence = isGood ? header.Sequence : LastSequence,
    };

    /// <summary>From the end backwards, since what was never written is the larger part.</summary>
    private static long FindNonZeroEnd(IFile file, byte[] buffer, long fromOffset, long endOffset)
    {
        for (var end = endOffset; end > fromOffset;)
        {
            var begin = Math.Max(fromOffset, end - buffer.Length);
            var read = file.ReadAt(buffer.AsSpan(0, (int)(end - begin)), begin);
            if (buffer.AsSpan(0, read).LastIndexOfAnyExcept((byte)0) is var last and >= 0)
                return begin + last + 1;
            end = begin;
        }

        return 0;
    }

    private static bool IsPayloadGood(IFile file, uint salted, long offset, long endOffset, in RecordHeader header)
    {
        if (header.Length > RecordFrame.PayloadBytesMax || header.RecordLength > endOffset - offset)
            return false;
        var record = ArrayPool<byte>.Shared.Rent((int)header.RecordLength);
        var bytes = record.AsSpan(0, (int)header.RecordLength);
        var isGood = file.ReadAt(bytes, offset) == bytes.Length
            && RecordFrame.PayloadCheck(salted, bytes.Slice(RecordHeader.Size, (int)header.Length)) == header.PayloadCheck
            && bytes[(RecordHeader.Size + (int)header.Length)..].IndexOfAnyExcept((byte)0) < 0;
        ArrayPool<byte>.Shared.Return(record);
        return isGood;
    }
}
