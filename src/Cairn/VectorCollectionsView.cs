using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

/// <summary>Reads of a run's collections of vectors. Thread-safe, except inside a transaction. Reads never wait and never change
/// anything.</summary>
public class VectorCollectionsView
{
    private const byte ListingCollections = 0x70;

    internal VectorCollectionsView(Engine engine, Scope scope)
    {
        Engine = engine;
        Scope = scope;
    }

    internal Engine Engine { get; }

    internal Scope Scope { get; }

    /// <summary>A collection by its name, whether it is there or not.</summary>
    /// <param name="name">1 to 256 bytes of UTF-8, no control character, no <c>/</c>.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidName"/>: cannot be a name.</exception>
    /// <exception cref="LimitException">The name is too long.</exception>
    public VectorCollectionView this[string name] => new(Engine, Scope, name);

    /// <summary>Finds a collection; null when there is none of that name.</summary>
    /// <inheritdoc cref="this[string]" path="/param"/>
    /// <inheritdoc cref="this[string]" path="/exception"/>
    public VectorCollectionInfo? GetCollection(string name) => this[name].Info;

    /// <summary>Whether there is such a collection.</summary>
    /// <inheritdoc cref="this[string]" path="/param"/>
    /// <inheritdoc cref="this[string]" path="/exception"/>
    public bool Exists(string name)
    {
        var encoded = EncodedName(name);
        using var look = new VectorLook(Engine.Pins, Scope);
        return look.TryFind(encoded, out _, out _);
    }

    /// <summary>The collections in order of the UTF-8 bytes of their names, a page at a time.</summary>
    /// <param name="options">Which part; null = from the beginning.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.CursorExpired"/>; <see cref="ErrorCode.InvalidArgument"/>: options that
    /// contradict each other, or a cursor of another listing.</exception>
    public Page<VectorCollectionInfo> ListCollections(ScanOptions? options = null)
    {
        var range = KeyRange.Of(options ?? new ScanOptions(), StoreKeys.VectorCollection, Engine.Limits);
        var rows = new Listing(
            Scope, Engine.Cursors, Engine.Pins, ListingCollections, range.From, range.To, range.Limit, options?.Cursor,
            options?.Reverse ?? false);
        try
        {
            var at = Scope.IsLive ? Scope.Snapshot(Scope.Path, Scope.Run, rows.Sequence, rows.Time) : Scope;
            var found = new List<VectorCollectionInfo>();
            while (rows.MoveNext())
                found.Add(new VectorCollectionView(Engine, at, Utf8.GetTrustedString(rows.Key[1..])).Info!);
            return new Page<VectorCollectionInfo>(found, rows.End(), new Sequence(rows.Sequence));
        }
        finally
        {
            rows.Dispose();
        }
    }

    internal static byte[] EncodedName(string name)
    {
        Span<byte> buffer = stackalloc byte[Limits.NameBytesMax];
        KeyRules.EncodeNameForRead(name, buffer, out var length);
        return buffer[..length].ToArray();
    }
}
