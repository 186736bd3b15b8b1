using System.Diagnostics.CodeAnalysis;
using Cairn.Documents;

namespace Cairn;

/// <summary>The way to one place of a document, in two spellings: a singular query of RFC 9535 (<c>$.a['b c'][0]</c>, also <c>[-1]</c> for
/// the last element and <c>[-]</c> for one past it), or a pointer of RFC 6901 (<c>/a/b c/0</c>, <c>/a/-</c>). Immutable; safe from any
/// thread.</summary>
/// <remarks>A pointer does not say whether <c>0</c> is an index or a member name: what it meets decides (RFC 6901, section 4). In a
/// singular query <c>[0]</c> is an index and <c>['0']</c> a name, and neither finds the other.</remarks>
public sealed class DocumentPath : IEquatable<DocumentPath>
{
    private readonly PathSegment[] _segments;
    private byte[]? _encoded;
    private PathTrail? _trail;
    private bool _isUsed;

    internal DocumentPath(PathSegment[] segments) => _segments = segments;

    /// <summary>The whole document: <c>$</c>, or the empty pointer.</summary>
    public static DocumentPath Root { get; } = new([]);

    /// <summary>How many segments lead to the place; 0 for the root.</summary>
    public int Count => _segments.Length;

    internal ReadOnlySpan<PathSegment> Segments => _segments;

    /// <summary>As an operation in the log has it.</summary>
    internal byte[] Encoded => _encoded ??= EncodedPath.Write(_segments);

    /// <summary>Where it led before; null at its first use, because one that is parsed for each call has no other.</summary>
    internal PathTrail? Trail
    {
        get
        {
            if (_isUsed)
                return _trail ??= new PathTrail(_segments.Length);
            _isUsed = true;
            return null;
        }
    }

    /// <summary>The path of a text; see <see cref="Parse"/>.</summary>
    [SuppressMessage("Usage", "CA2225", Justification = "Parse is the named form.")]
    public static implicit operator DocumentPath(string text) => Parse(text);

    /// <summary>Equal segments.</summary>
    public static bool operator ==(DocumentPath? left, DocumentPath? right) => left is null ? right is null : left.Equals(right);

    /// <summary>Different segments.</summary>
    public static bool operator !=(DocumentPath? left, DocumentPath? right) => !(left == right);

    /// <summary>Reads a path: a text that begins with <c>$</c> is a singular query (RFC 9535, section 2.3.5.1, and <c>[-]</c>), any other
    /// one a pointer (RFC 6901, section 3).</summary>
    /// <param name="text">At most <see cref="Limits.StringBytesMax"/> bytes with <see cref="Limits.PathSegmentsMax"/> segments.</param>
    /// <param name="limits">The limits in force; null for the defaults.</param>
    /// <exception cref="MalformedTextException">Neither of the two; it says where.</exception>
    /// <exception cref="LimitException">Too long, or too many segments.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: a lone surrogate.</exception>
    public static DocumentPath Parse(string text, Limits? limits = null) => Of(PathText.Parse(text, limits ?? Limits.Defaults));

    /// <summary>Reads a pointer (RFC 6901, section 3), and nothing else.</summary>
    /// <inheritdoc cref="Parse"/>
    public static DocumentPath ParsePointer(string text, Limits? limits = null) =>
        Of(PathText.ParsePointer(text, limits ?? Limits.Defaults));

    /// <summary>The path to a member of what this path leads to.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidPath"/>: this path is a pointer with a segment that can be an index and
    /// a name; <see cref="ErrorCode.InvalidArgument"/>: a lone surrogate in the name.</exception>
    public DocumentPath Member(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        PathScanner.CheckText(name, nameof(Limits.StringBytesMax), Limits.Defaults.StringBytesMax);
        return With(PathSegment.OfName(name));
    }

    /// <summary>The path to an element of what this path leads to; a negative index counts from the end.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidPath"/>: this path is a pointer with a segment that can be an index and
    /// a name, or the index has more than 53 bits.</exception>
    public DocumentPath Element(long index) => index is >= -PathScanner.IntegerMax and <= PathScanner.IntegerMax
        ? With(PathSegment.OfIndex(index))
        : throw new CairnException(ErrorCode.InvalidPath, $"An index of a path has at most 53 bits (RFC 9535); {index} has more.");

    /// <summary>Looks the place up in a document.</summary>
    /// <returns>False when there is nothing: no such member or element, or no container on the way. That is an answer, not an
    /// error.</returns>
    public bool TryGet(Value document, out Value value)
    {
        value = document;
        foreach (ref readonly var segment in _segments.AsSpan())
        {
            if (segment.TryGet(value, out var inner))
            {
                value = inner;
                continue;
            }

            value = default;
            return false;
        }

        return true;
    }

    /// <summary>What a document has at the place.</summary>
    /// <exception cref="DocumentException"><see cref="ErrorCode.PathNotFound"/>: no such member or element;
    /// <see cref="ErrorCode.TypeMismatch"/>: a segment needs an object or an array where something else is.</exception>
    public Value Get(Value document) => Patching.Get(document, _segments);

    /// <summary>The document with another value at the place (JS-6): a member that is missing is made, and so are the objects on the way
    /// to it; an element has to be there, and <c>[-]</c> appends. The document itself stays as it is.</summary>
    /// <param name="document">The document.</param>
    /// <param name="value">The value.</param>
    /// <param name="limits">The limits that the result keeps to; null for the defaults.</param>
    /// <exception cref="DocumentException"><see cref="ErrorCode.PathNotFound"/>: no such element; <see cref="ErrorCode.TypeMismatch"/>: a
    /// segment needs an object or an array where something else is.</exception>
    /// <exception cref="LimitException">The result passes a limit of a value.</exception>
    public Value Set(Value document, Value value, Limits? limits = null) =>
        Patching.Checked(Patching.Set(document, _segments, value), limits ?? Limits.Defaults);

    /// <summary>The document without what is at the place (JS-8); behind an element the others move up. The document itself stays as it
    /// is.</summary>
    /// <param name="document">The document.</param>
    /// <param name="result">The document without it; the document itself when there was nothing.</param>
    /// <returns>False when there was nothing.</returns>
    /// <exception cref="DocumentException"><see cref="ErrorCode.InvalidPath"/>: the root (JS-3).</exception>
    public bool TryDelete(Value document, out Value result)
    {
        result = document;
        if (_segments.Length > 0 && !TryGet(document, out _))
            return false;
        result = Patching.Remove(document, _segments);
        return true;
    }

    /// <summary>The path as a pointer (RFC 6901).</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidPath"/>: it counts from the end, which a pointer cannot.</exception>
    public string ToPointer() => PathText.TryWritePointer(_segments, out var pointer)
        ? pointer
        : throw new CairnException(ErrorCode.InvalidPath, "The path counts from the end of an array; no pointer (RFC 6901) says that.");

    /// <summary>The one text of the path, which reads back as the same path: the normalized path (RFC 9535, section 2.7), or the pointer
    /// where that has a segment which can be an index and a name.</summary>
    public override string ToString() => PathText.Write(_segments);

    /// <summary>Equal segments.</summary>
    public bool Equals([NotNullWhen(true)] DocumentPath? other) => other is not null && _segments.AsSpan().SequenceEqual(other._segments);

    /// <summary>Equal segments.</summary>
    public override bool Equals([NotNullWhen(true)] object? obj) => Equals(obj as DocumentPath);

    /// <summary>A hash of the text, the same in every process.</summary>
    public override int GetHashCode() => ((Value)ToString()).GetHashCode();

    private static DocumentPath Of(PathSegment[] segments) => segments.Length == 0 ? Root : new DocumentPath(segments);

    private DocumentPath With(PathSegment segment)
    {
        foreach (ref readonly var earlier in _segments.AsSpan())
        {
            if (earlier.Kind == SegmentKind.Token)
                throw new CairnException(
                    ErrorCode.InvalidPath,
                    "A pointer whose segment can be an index and a name is not prolonged. Begin with DocumentPath.Root.");
        }

        return new DocumentPath([.. _segments, segment]);
    }
}
