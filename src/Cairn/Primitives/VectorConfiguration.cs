using System.Buffers.Binary;
using Cairn.Codec;

namespace Cairn.Primitives;

/// <summary>
/// What a collection is, as the store and the log keep it (VEC-2). Layout, little-endian:
/// <code>
///  0  u8   version     1
///  1  u8   metric      VectorMetric
///  2  u8   element     VectorElement
///  3  u8   index       VectorIndexKind
///  4  u32  dimension   1 to 65,536
///  8  ..   model       UTF-8; empty = none </code>
/// </summary>
internal readonly ref struct VectorConfiguration
{
    internal const int FixedBytes = 8;
    internal const int BytesMax = FixedBytes + Limits.NameBytesMax;
    internal const int DimensionMost = 65_536;

    private const byte CurrentVersion = 1;

    private VectorConfiguration(ReadOnlySpan<byte> bytes) => Bytes = bytes;

    internal ReadOnlySpan<byte> Bytes { get; }

    internal VectorMetric Metric => (VectorMetric)Bytes[1];

    internal VectorElement Element => (VectorElement)Bytes[2];

    internal VectorIndexKind Index => (VectorIndexKind)Bytes[3];

    internal int Dimension => BinaryPrimitives.ReadInt32LittleEndian(Bytes[4..]);

    internal ReadOnlySpan<byte> Model => Bytes[FixedBytes..];

    /// <summary>Bytes of a stored embedding.</summary>
    internal int EmbeddingBytes => EmbeddingBytesOf(Element, Dimension);

    internal static int EmbeddingBytesOf(VectorElement element, int dimension) => element switch
    {
        VectorElement.F32 => sizeof(float) * dimension,
        VectorElement.F16 => sizeof(ushort) * dimension,
        _ => sizeof(float) + dimension,
    };

    /// <summary>False when these bytes are none: an index that is not built yet is none too.</summary>
    internal static bool TryRead(ReadOnlySpan<byte> bytes, out VectorConfiguration configuration)
    {
        configuration = new VectorConfiguration(bytes);
        return bytes.Length is >= FixedBytes and <= BytesMax && bytes[0] == CurrentVersion && bytes[1] <= (byte)VectorMetric.Dot
            && bytes[2] <= (byte)VectorElement.I8 && bytes[3] <= (byte)VectorIndexKind.Flat
            && configuration.Dimension is >= 1 and <= DimensionMost;
    }

    /// <summary>What the store has, which was looked at before it was written.</summary>
    internal static VectorConfiguration Read(ReadOnlySpan<byte> bytes)
    {
        Invariant.Check(TryRead(bytes, out var configuration), "a stored collection reads back");
        return configuration;
    }

    /// <summary>The bytes of a definition.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: a value that is none, or an index that is not built
    /// yet; <see cref="ErrorCode.InvalidName"/>: of the model.</exception>
    /// <exception cref="LimitException">The dimension or the model's name.</exception>
    internal static byte[] Of(VectorDefinition definition, Limits limits)
    {
        ArgumentNullException.ThrowIfNull(definition);
        CheckDimension(definition.Dimension, limits);
        if (!Enum.IsDefined(definition.Metric))
            throw Undefined(nameof(definition.Metric), (int)definition.Metric);
        if (!Enum.IsDefined(definition.Element))
            throw Undefined(nameof(definition.Element), (int)definition.Element);
        if (definition.Index == VectorIndexKind.Hnsw)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument,
                "The index Hnsw is not built yet. Make the collection with Auto, which will take it once it is there, or with Flat.");
        }

        if (!Enum.IsDefined(definition.Index))
            throw Undefined(nameof(definition.Index), (int)definition.Index);
        Span<byte> model = stackalloc byte[Limits.NameBytesMax];
        var length = 0;
        if (definition.Model is { } name)
            KeyRules.EncodeName(name, model, out length);
        var bytes = new byte[FixedBytes + length];
        bytes[0] = CurrentVersion;
        bytes[1] = (byte)definition.Metric;
        bytes[2] = (byte)definition.Element;
        bytes[3] = (byte)definition.Index;
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(4), definition.Dimension);
        model[..length].CopyTo(bytes.AsSpan(FixedBytes));
        return bytes;
    }

    internal static void CheckDimension(int dimension, Limits limits)
    {
        if (dimension < 1)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument, $"A vector of {dimension} elements is none. Give 1 to {limits.VectorDimensionMax}.");
        }

        if (dimension > limits.VectorDimensionMax)
            throw new LimitException(nameof(limits.VectorDimensionMax), limits.VectorDimensionMax, dimension, "elements");
    }

    internal VectorDefinition ToDefinition() => new()
    {
        Dimension = Dimension,
        Metric = Metric,
        Element = Element,
        Index = Index,
        Model = Model.IsEmpty ? null : Utf8.GetTrustedString(Model),
    };

    /// <summary>What two configurations of one name differ in, for people.</summary>
    internal string DifferenceFrom(VectorConfiguration other)
    {
        var (mine, its) = (ToDefinition(), other.ToDefinition());
        var differences = new List<string>();
        Add(nameof(mine.Dimension), mine.Dimension, its.Dimension);
        Add(nameof(mine.Metric), mine.Metric, its.Metric);
        Add(nameof(mine.Element), mine.Element, its.Element);
        Add(nameof(mine.Model), mine.Model ?? "none", its.Model ?? "none");
        Add(nameof(mine.Index), mine.Index, its.Index);
        return string.Join(", ", differences);

        void Add<T>(string name, T left, T right)
            where T : notnull
        {
            if (!left.Equals(right))
                differences.Add($"{name} {left} and not {right}");
        }
    }

    private static CairnException Undefined(string name, int value) =>
        new(ErrorCode.InvalidArgument, $"The {name} of a collection is none of those there are: {value}.");
}
