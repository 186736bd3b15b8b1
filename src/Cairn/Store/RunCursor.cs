using Cairn.Store.Native;

namespace Cairn.Store;

/// <summary>
/// The keys of a run that reads through to others, or is read through, in order or reversed, each once, with its version at a sequence,
/// tombstones included. Three streams in the order of their keys; of equal keys the first that has a version at or below the sequence
/// answers:
/// <code>
/// memory    entries, leaf by leaf            every version of the run that is newer than its image, and what was used lately
/// image     of the run, one moment's         what was written since the run began
/// base      the same three of the parent     what was there when it was forked; not what a fork does not inherit </code>
/// It is <see cref="StoreScan"/> on the heap, for those runs only. Lives inside the epoch of the reader that made it, and not longer.
/// </summary>
internal sealed class RunCursor
{
    private enum From
    {
        Nothing,
        Memory,
        Image,
        Base,
    }

    private readonly RunMemory _memory;
    private readonly byte[] _from;
    private readonly byte[] _to;
    private readonly ulong _sequence;
    private readonly bool _reverse;
    private readonly Residency? _residency;
    private readonly ImageCursor? _image;
    private readonly RunCursor? _base;
    private readonly nint[] _batch = new nint[OrderedIndex.BatchMax];
    private int _next;
    private int _end;
    private nint _fence;
    private bool _hasImage;
    private bool _hasBase;
    private From _source;
    private nint _entry;

    internal RunCursor(RunMemory memory, ReadOnlySpan<byte> from, ReadOnlySpan<byte> to, ulong sequence, bool reverse)
    {
        while (memory.Successor is { } successor)
            memory = successor;
        _memory = memory;
        _from = from.ToArray();
        _to = to.ToArray();
        _sequence = sequence;
        _reverse = reverse;
        if (to.Length != 0 && from.SequenceCompareTo(to) >= 0)
            return;
        _residency = memory.Below;
        if (_residency is { IsWhole: false })
        {
            // Before memory: what that forgets meanwhile is in this image (Residency).
            _image = _residency.Scan(from, to, sequence, reverse);
            _base = _residency.Base?.Scan(from, to, sequence, reverse);
            StepImage();
            StepBase();
        }

        Read(_from, _to);
    }

    /// <summary>Of the present key; good until the next move, and from memory as long as the reader.</summary>
    internal ReadOnlySpan<byte> Key => _source switch
    {
        From.Memory => RunMemory.KeyOf(_entry),
        From.Image => _image!.Key,
        _ => _base!.Key,
    };

    /// <summary>The key lives as long as the reader.</summary>
    internal bool IsKeyKept => _source == From.Memory || (_source == From.Base && _base!.IsKeyKept);

    /// <summary>The version of the present key.</summary>
    internal VersionView Version
    {
        get
        {
            if (_source == From.Image)
                return _residency!.Readable(_image!.Version);
            if (_source == From.Base)
                return _base!.Version;
            _memory.TryRead(_entry, _sequence, out var version);
            return version;
        }
    }

    internal bool MoveNext()
    {
        if (_source == From.Image)
            StepImage();
        else if (_source == From.Base)
            StepBase();
        _source = From.Nothing;
        while (true)
        {
            while (_next == _end && _fence != 0)
                ReadOn();
            var entry = _next == _end ? 0 : _batch[_reverse ? _end - 1 : _next];
            var below = IsImageNext ? _image!.Key : _hasBase ? _base!.Key : default;
            var order = below.IsEmpty ? -1 : entry == 0 ? 1 : Order(RunMemory.KeyOf(entry), below);
            if (entry == 0 && below.IsEmpty)
                return false;
            if (order > 0)
            {
                Choose();
                return true;
            }

            if (_reverse)
                _end--;
            else
                _next++;
            if (_memory.TryRead(entry, _sequence, out _))
            {
                if (order == 0)
                    StepBelow(RunMemory.KeyOf(entry));
                (_source, _entry) = (From.Memory, entry);
                return true;
            }

            // Memory knows of later versions only: what is below may have the one that is asked for.
            if (order == 0)
            {
                Choose();
                return true;
            }
        }
    }

    private bool IsImageNext => _hasImage && (!_hasBase || Order(_image!.Key, _base!.Key) <= 0);

    // The next key of image or base, whichever comes first; of the same key the image's counts.
    private void Choose()
    {
        _source = IsImageNext ? From.Image : From.Base;
        if (_source == From.Image && _hasBase && _base!.Key.SequenceEqual(_image!.Key))
            StepBase();
    }

    // What memory has answered for.
    private void StepBelow(ReadOnlySpan<byte> key)
    {
        if (_hasImage && _image!.Key.SequenceEqual(key))
            StepImage();
        if (_hasBase && _base!.Key.SequenceEqual(key))
            StepBase();
    }

    private void StepImage()
    {
        do
            _hasImage = _image!.MoveNext();
        while (_hasImage && !_residency!.IsOfThisRun(_image.Version));
    }

    private void StepBase()
    {
        if (_base is null)
            return;
        do
            _hasBase = _base.MoveNext();
        while (_hasBase && !ForkBase.IsInherited(_base.Key));
    }

    private int Order(ReadOnlySpan<byte> key, ReadOnlySpan<byte> other) =>
        _reverse ? other.SequenceCompareTo(key) : key.SequenceCompareTo(other);

    private void ReadOn()
    {
        if (_reverse)
            Read(_from, RunMemory.KeyOf(_fence));
        else
            Read(RunMemory.KeyOf(_fence), _to);
    }

    private void Read(ReadOnlySpan<byte> from, ReadOnlySpan<byte> to)
    {
        _next = 0;
        _end = _reverse ? _memory.ReadBackward(from, to, _batch, out _fence) : _memory.ReadForward(from, to, _batch, out _fence);
    }
}
