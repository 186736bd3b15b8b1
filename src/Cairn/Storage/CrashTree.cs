using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Cairn.Storage;

/// <summary>A file or a directory: what a name means.</summary>
internal abstract class CrashNode
{
    /// <summary>Adds the node and what is named below it, now or durably.</summary>
    internal virtual void AddReachable(HashSet<CrashNode> nodes) => nodes.Add(this);

    internal abstract void AppendTo(IncrementalHash hash);
}

internal sealed class CrashFile(PagedBytes durable) : CrashNode
{
    internal CrashFile()
        : this(new PagedBytes())
    {
    }

    internal PagedBytes Durable { get; } = durable;

    /// <summary>What reads see.</summary>
    internal PagedBytes Current { get; } = durable.Copy();

    internal override void AppendTo(IncrementalHash hash)
    {
        hash.AppendData("f"u8);
        Durable.AppendTo(hash);
    }
}

internal sealed class CrashDirectory : CrashNode
{
    internal SortedDictionary<string, CrashNode> Durable { get; } = new(StringComparer.Ordinal);

    internal SortedDictionary<string, CrashNode> Current { get; } = new(StringComparer.Ordinal);

    internal override void AddReachable(HashSet<CrashNode> nodes)
    {
        if (!nodes.Add(this))
            return;
        foreach (var node in Durable.Values)
            node.AddReachable(nodes);
        foreach (var node in Current.Values)
            node.AddReachable(nodes);
    }

    internal override void AppendTo(IncrementalHash hash)
    {
        hash.AppendData("d"u8);
        foreach (var (name, node) in Durable)
        {
            hash.AppendData(MemoryMarshal.AsBytes(name.AsSpan()));
            hash.AppendData("\0\0"u8);
            node.AppendTo(hash);
        }

        hash.AppendData("."u8);
    }
}
