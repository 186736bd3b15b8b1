namespace Cairn;

/// <summary>A value with what is known about the write that made it.</summary>
/// <typeparam name="T">Type of the value.</typeparam>
/// <param name="Value">The value; owned, valid for ever.</param>
/// <param name="Version">Sequence of the commit that wrote it. Inside a transaction, for the transaction's own write: the committed
/// version beneath it, <see cref="Sequence.None"/> when there is none.</param>
/// <param name="Created">Sequence of the commit that created the key in its present life.</param>
/// <param name="Time">Commit time of <paramref name="Version"/>, to the microsecond.</param>
/// <param name="Expiry">When it expires, or null for never.</param>
public readonly record struct Versioned<T>(T Value, Sequence Version, Sequence Created, DateTimeOffset Time, DateTimeOffset? Expiry);

/// <summary>One version of a key's history.</summary>
/// <typeparam name="T">Type of the value.</typeparam>
/// <param name="Value">The value; the type's default for a deletion.</param>
/// <param name="IsDeletion">True when this version is a tombstone.</param>
/// <param name="Version">Sequence of the commit that wrote it.</param>
/// <param name="Time">Commit time, to the microsecond.</param>
/// <param name="Expiry">When it expires, or null for never.</param>
public readonly record struct HistoryItem<T>(T Value, bool IsDeletion, Sequence Version, DateTimeOffset Time, DateTimeOffset? Expiry);
