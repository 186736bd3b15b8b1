using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Cairn.Storage;

/// <summary>
/// The bytes of a file held in memory: sparse, in pages that copies share until one of them writes. So a preallocated megabyte costs
/// nothing, and a copy costs a reference per written page. Not thread-safe; copies may be used by different threads.
/// </summary>
internal sealed class PagedBytes
{
    private const int PageBytes = 4096;

    private Page?[] pages = [];         // as long as the last page that is not zero
    private object owner = new();       // pages that carry it are ours alone and may be written in place

    internal long Length { get; private set; }

    internal PagedBytes Copy()
    {
        owner = new object();           // from now on each side copies a page before it writes to it
        return new PagedBytes { pages = (Page?[])pages.Clone(), Length = Length };
    }

    internal int Read(Span<byte> buffer, long offset)
    {
        if (offset >= Length)
            return 0;
        var count = (int)Math.Min(buffer.Length, Length - offset);
        var rest = buffer[..count];
        while (rest.Length > 0)
        {
            var (index, start) = Place(offset);
            var step = Math.Min(PageBytes - start, rest.Length);
            if (index < pages.Length && pages[index] is { } page)
                page.Bytes.AsSpan(start, step).CopyTo(rest);
            else
                rest[..step].Clear();
            rest = rest[step..];
            offset += step;
        }

        return count;
    }

    internal void Write(ReadOnlySpan<byte> bytes, long offset)
    {
        Length = Math.Max(Length, offset + bytes.Length);
        while (bytes.Length > 0)
        {
            var (index, start) = Place(offset);
            var step = Math.Min(PageBytes - start, bytes.Length);
            var part = bytes[..step];
            var absent = index >= pages.Length || pages[index] is null;
            if (!absent || part.ContainsAnyExcept((byte)0))
                part.CopyTo(Writable(index).AsSpan(start));
            bytes = bytes[step..];
            offset += step;
        }
    }

    internal void WriteZeros(long offset, long count)
    {
        Length = Math.Max(Length, offset + count);
        var end = Math.Min(offset + count, (long)pages.Length * PageBytes);
        while (offset < end)
        {
            var (index, start) = Place(offset);
            var step = (int)Math.Min(PageBytes - start, end - offset);
            if (step == PageBytes)
                pages[index] = null;
            else if (pages[index] is not null)
                Writable(index).AsSpan(start, step).Clear();
            offset += step;
        }
    }

    internal void SetLength(long length)
    {
        if (length < Length)
            WriteZeros(length, Length - length);
        Length = length;
    }

    /// <summary>Adds length and content to a hash; equal bytes add equally, however they came about.</summary>
    internal void AppendTo(IncrementalHash hash)
    {
        Span<byte> field = stackalloc byte[8 + Page.DigestBytes];
        BinaryPrimitives.WriteInt64LittleEndian(field, Length);
        hash.AppendData(field[..8]);
        for (var index = 0; index < pages.Length; index++)
        {
            if (pages[index] is not { } page || !page.Bytes.AsSpan().ContainsAnyExcept((byte)0))
                continue;
            BinaryPrimitives.WriteInt64LittleEndian(field, index);
            page.Digest.CopyTo(field[8..]);
            hash.AppendData(field);
        }
    }

    private static (int Index, int Start) Place(long offset) => (checked((int)(offset / PageBytes)), (int)(offset % PageBytes));

    private byte[] Writable(int index)
    {
        if (index >= pages.Length)
            Array.Resize(ref pages, Math.Max(index + 1, Math.Min(pages.Length * 2, 1 << 20)));
        var page = pages[index];
        if (page is null || page.Owner != owner)
            pages[index] = page = new Page(owner, page);
        page.Changed();
        return page.Bytes;
    }

    private sealed class Page
    {
        internal const int DigestBytes = SHA256.HashSizeInBytes;

        private volatile byte[]? digest;

        internal Page(object owner, Page? source)
        {
            Owner = owner;
            Bytes = source is null ? new byte[PageBytes] : (byte[])source.Bytes.Clone();
        }

        internal object Owner { get; }

        internal byte[] Bytes { get; }

        internal ReadOnlySpan<byte> Digest => digest ??= SHA256.HashData(Bytes);

        internal void Changed() => digest = null;
    }
}
