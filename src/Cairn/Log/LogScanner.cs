// Reading a segment front to back with every check of rule 4.4. The scanner says what is valid and where the first invalid
// record stands; it passes no verdict: whether that is a torn tail or corruption needs the floor, and only recovery has it.
//
// A record is valid when
//   1  its header check is right for this salt and this position: the length may be believed
//   2  its type and flags are known (else the file is from a newer version: refused by name, never skipped)
//   3  it fits between here and the end
//   4  its payload check is right and its padding is zero
//   5  it continues: transactions have the last sequence + 1, control records the last sequence, the chain value is the payload
//      check of the record before, durable-up-to is not above its own position, and nothing follows a seal
//
// A record that passes 1 to 4 and fails 5 was written whole and does not belong here: a record was lost, doubled or moved. No
// crash does that inside one file, so recovery calls it corruption wherever it stands.
//
// One buffer for all segments, nothing allocated per record, spans handed out are good until the next call.

using System.Buffers;
using Cairn.Storage;

namespace Cairn.Log;

/// <summary>Why a scan stopped.</summary>
internal enum RecordFault
{
    /// <summary>It has not, or it has reached the end.</summary>
    None,

    /// <summary>The header check is wrong, or no header fits.</summary>
    Header,

    /// <summary>The header is right and says more bytes than there are.</summary>
    Length,

    /// <summary>The header is right, the payload is not.</summary>
    Payload,

    /// <summary>The bytes between the payload and the next multiple of 8 are not zero.</summary>
    Padding,

    /// <summary>Whole, but its sequence does not continue.</summary>
    Sequence,

    /// <summary>Whole, but it does not follow the record before it.</summary>
    Chain,

    /// <summary>Whole, but it vouches for itself.</summary>
    DurableUpTo,

    /// <summary>Whole, but behind a seal.</summary>
    BehindSeal,

    /// <summary>Whole, but its payload is not what its type says.</summary>
    Malformed,
}

/// <summary>Reads the records of one segment after another, in order. Not thread-safe.</summary>
internal sealed class LogScanner(int bufferBytes = LogScanner.BufferBytes) : IDisposable
{
    /// <summary>Chosen: large enough that the call costs nothing beside the bytes, small enough for the second-level cache.</summary>
    internal const int BufferBytes = 1 << 20;

    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(bufferBytes);
    private int _start;
    private int _filled;
    private int _recordLength;
    private IFile? _file;
    private string _path = "";
    private uint _salted;
    private ulong _basePosition;
    private ulong _endPosition;
    private bool _isContinued;      // what the next record must continue is known
    private bool _isWhole;          // all records of the segment were read
    private bool _isSealed;

    /// <summary>Where the next record begins; after a fault, where the bad one begins.</summary>
    internal ulong Position { get; private set; }

    internal RecordFault Fault { get; private set; }

    /// <summary>Of the last transaction before <see cref="Position"/>.</summary>
    internal ulong LastSequence { get; private set; }

    /// <summary>Payload check of the record before <see cref="Position"/>.</summary>
    internal uint Chain { get; private set; }

    /// <summary>Highest durable-up-to of the records read since the scanner was made.</summary>
    internal ulong Witness { get; private set; }

    /// <summary>Records read of this segment.</summary>
    internal ulong RecordCount { get; private set; }

    /// <summary>Where the segment's seal begins, when one was read.</summary>
    internal ulong? SealPosition { get; private set; }

    /// <summary>All bytes of the record that was read last; good until the next call.</summary>
    internal ReadOnlySpan<byte> Record => _buffer.AsSpan(_start - _recordLength, _recordLength);

    internal string Path => _path;

    internal long Offset => OffsetOf(Position);

    /// <summary>Begins a segment at its base, continuing the sequence that its header names.</summary>
    /// <param name="endPosition">Where the segment's records end, or could end at the latest.</param>
    internal void Begin(IFile file, string path, ReadOnlySpan<byte> salt, ulong basePosition, ulong endPosition, uint firstChain, ulong lastSequence)
    {
        BeginAt(file, path, salt, basePosition, basePosition, endPosition);
        Chain = firstChain;
        LastSequence = lastSequence;
        _isContinued = true;
        _isWhole = true;
    }

    /// <summary>Begins in the middle of a segment: what the first record must continue is not known.</summary>
    internal void BeginAt(IFile file, string path, ReadOnlySpan<byte> salt, ulong basePosition, ulong position, ulong endPosition)
    {
        _file = file;
        _path = path;
        _salted = RecordFrame.Salted(salt);
        _basePosition = basePosition;
        _endPosition = endPosition;
        _start = 0;
        _filled = 0;
        _isContinued = false;
        _isWhole = false;
        _isSealed = false;
        Position = position;
        Fault = RecordFault.None;
        RecordCount = 0;
        SealPosition = null;
    }

    /// <summary>Goes on at a later position after a fault, for salvage and diagnosis: the record there need not continue.</summary>
    internal void StepOverTo(ulong position)
    {
        _start = 0;
        _filled = 0;
        _isContinued = false;
        _isWhole = false;
        Position = position;
        Fault = RecordFault.None;
    }

    /// <summary>The next record. The payload is good until the next call.</summary>
    /// <returns>False at the end, or at a record that is not valid: <see cref="Fault"/> says which.</returns>
    /// <exception cref="FormatVersionException">A type, version or flag this version does not know.</exception>
    internal bool Read(out RecordHeader header, out ReadOnlySpan<byte> payload)
    {
        header = default;
        payload = default;
        if (Fault != RecordFault.None || Position >= _endPosition)
            return false;

        if (!Fill(RecordHeader.Size))
            return Stop(RecordFault.Header);
        var source = _buffer.AsSpan(_start, RecordHeader.Size);
        if (!RecordFrame.IsHeaderRight(_salted, Position, source) || !RecordHeader.TryRead(source, out header))
            return Stop(RecordFault.Header);

        if (header is not { Type: RecordType.Transaction, Flags: RecordFlags.None, Version: RecordHeader.CurrentVersion })
            CheckKnown(header);
        var recordLength = header.RecordLength;
        if (header.Length > RecordFrame.PayloadBytesMax || recordLength > (long)(_endPosition - Position))
            return Stop(RecordFault.Length);
        if (!Fill((int)recordLength))
            return Stop(RecordFault.Payload);

        payload = _buffer.AsSpan(_start + RecordHeader.Size, (int)header.Length);
        if (RecordFrame.PayloadCheck(_salted, payload) != header.PayloadCheck)
            return Stop(RecordFault.Payload);
        var padding = (int)recordLength - RecordHeader.Size - payload.Length;
        if (padding > 0 && _buffer.AsSpan(_start + RecordHeader.Size + payload.Length, padding).IndexOfAnyExcept((byte)0) >= 0)
            return Stop(RecordFault.Padding);
        if (FindBreak(header, payload) is var fault and not RecordFault.None)
            return Stop(fault);

        Accept(header, (int)recordLength);
        return true;
    }

    public void Dispose()
    {
        if (_buffer.Length > 0)
            ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = [];
        _file = null;
    }

    private long OffsetOf(ulong position) => SegmentHeader.Size + (long)(position - _basePosition);

    private void CheckKnown(in RecordHeader header)
    {
        const RecordFlags known = RecordFlags.Encrypted | RecordFlags.Ignorable;
        if ((header.Flags & ~known) != 0)
            throw Unknown(header, $"record flags 0x{(ushort)header.Flags:X4}");
        if ((header.Flags & RecordFlags.Encrypted) != 0)
            throw Unknown(header, "an encrypted record");
        var isKnown = header.Type is RecordType.Transaction or RecordType.CheckpointMark or RecordType.DurableMark or RecordType.Seal
            or RecordType.Open;
        if (!isKnown && (header.Flags & RecordFlags.Ignorable) == 0)
            throw Unknown(header, $"record type 0x{(byte)header.Type:X2}");
        if (isKnown && header.Version != RecordHeader.CurrentVersion)
            throw Unknown(header, $"version {header.Version} of record type 0x{(byte)header.Type:X2}");
    }

    private FormatVersionException Unknown(in RecordHeader header, string found) =>
        new(_path, $"{found} at offset {Offset} (sequence {header.Sequence})", "record types 01 to 05, version 1");

    private RecordFault FindBreak(in RecordHeader header, ReadOnlySpan<byte> payload)
    {
        if (header.DurableUpTo > Position)
            return RecordFault.DurableUpTo;
        if (_isSealed)
            return RecordFault.BehindSeal;
        if (_isContinued)
        {
            if (header.Chain != Chain)
                return RecordFault.Chain;
            if (header.Sequence != LastSequence + (header.Type == RecordType.Transaction ? 1u : 0u))
                return RecordFault.Sequence;
        }

        return header.Type switch
        {
            RecordType.DurableMark when payload.Length != 0 => RecordFault.Malformed,
            RecordType.CheckpointMark when !CheckpointMark.TryRead(payload, out var mark) || mark.Sequence != header.Sequence =>
                RecordFault.Malformed,
            RecordType.Open when payload.Length != Opening.Size => RecordFault.Malformed,
            RecordType.Seal when !IsSealTrue(header, payload) => RecordFault.Malformed,
            _ => RecordFault.None,
        };
    }

    private bool IsSealTrue(in RecordHeader header, ReadOnlySpan<byte> payload) =>
        Seal.TryRead(payload, out var seal)
        && seal.LastSequence == header.Sequence
        && (!_isWhole || seal.RecordCount == RecordCount);

    private void Accept(in RecordHeader header, int recordLength)
    {
        if (header.Type == RecordType.Seal)
        {
            _isSealed = true;
            SealPosition = Position;
        }

        Position += (ulong)recordLength;
        Chain = header.PayloadCheck;
        LastSequence = header.Sequence;
        RecordCount++;
        if (header.DurableUpTo > Witness)
            Witness = header.DurableUpTo;
        _isContinued = true;
        _start += recordLength;
        _recordLength = recordLength;
    }

    private bool Stop(RecordFault fault)
    {
        Fault = fault;
        return false;
    }

    /// <summary>Has <paramref name="count"/> bytes from <see cref="Position"/> on in the buffer, if the segment has them.</summary>
    private bool Fill(int count)
    {
        if (_filled - _start >= count)
            return true;
        if (count > (long)(_endPosition - Position))
            return false;

        var rest = _buffer.AsSpan(_start, _filled - _start);
        if (count > _buffer.Length)
        {
            var larger = ArrayPool<byte>.Shared.Rent(count);
            rest.CopyTo(larger);
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = larger;
        }
        else
        {
            rest.CopyTo(_buffer);
        }

        _filled -= _start;
        _start = 0;
        var wanted = (int)Math.Min((ulong)(_buffer.Length - _filled), _endPosition - Position - (ulong)_filled);
        _filled += _file!.ReadAt(_buffer.AsSpan(_filled, wanted), OffsetOf(Position) + _filled);
        return _filled >= count;
    }
}
