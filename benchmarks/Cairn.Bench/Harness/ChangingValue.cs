using System.Buffers.Binary;

namespace Cairn.Bench.Harness;

/// <summary>
/// A value that differs each time it is asked for, in one buffer of a writer's own. Without it an update is measured that
/// changes nothing: SQLite compares before it dirties a page and then writes no log at all.
/// </summary>
internal sealed class ChangingValue(int bytes)
{
    private readonly byte[] _value = Keys.Value(bytes);
    private long _number;

    /// <summary>The next value, until the one after it is asked for.</summary>
    internal byte[] Next()
    {
        BinaryPrimitives.WriteInt64LittleEndian(_value, ++_number);
        return _value;
    }
}
