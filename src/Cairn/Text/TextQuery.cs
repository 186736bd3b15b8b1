using Cairn.Codec;

namespace Cairn.Text;

/// <summary>What one part of a query asks for.</summary>
internal enum ClauseKind
{
    /// <summary>A term.</summary>
    Term,

    /// <summary>Every term that begins so.</summary>
    Prefix,

    /// <summary>Terms at given distances from each other.</summary>
    Phrase,
}

/// <summary>What a part of a query decides.</summary>
internal enum ClauseRole
{
    /// <summary>It adds to the score.</summary>
    Wanted,

    /// <summary>It adds to the score, and what does not have it is no hit.</summary>
    Required,

    /// <summary>What has it is no hit.</summary>
    Excluded,
}

/// <summary>One part of a query.</summary>
/// <param name="Terms">Of a term or prefix one.</param>
/// <param name="Offsets">Where the terms of a phrase stand, in words from the first.</param>
internal sealed record QueryClause(ClauseKind Kind, byte[][] Terms, int[] Offsets)
{
    internal ClauseRole Role { get; init; }

    /// <summary>How often it is asked for.</summary>
    internal int Times { get; init; } = 1;

    /// <summary>For people: the analyzed terms.</summary>
    internal string Text => Kind switch
    {
        ClauseKind.Term => Utf8.GetTrustedString(Terms[0]),
        ClauseKind.Prefix => Utf8.GetTrustedString(Terms[0]) + "*",
        _ => $"\"{string.Join(' ', Terms.Select(term => Utf8.GetTrustedString(term)))}\"",
    };

    internal bool IsSame(QueryClause other) => Kind == other.Kind && Terms.Length == other.Terms.Length
        && Offsets.AsSpan().SequenceEqual(other.Offsets)
        && Terms.Zip(other.Terms).All(pair => pair.First.AsSpan().SequenceEqual(pair.Second));
}

/// <summary>A query by words, analyzed: its parts, each once, in the order of the text. Immutable.</summary>
/// <remarks>
/// <code>
/// refund preference      both are wanted: what has more of them, and rarer ones, is better
/// "store credit"         the words side by side, in this order
/// refund*                words that begin so; with stems: stems that do
/// +ada   +"store credit" required
/// -draft -"store credit" excluded
/// long-term              two words; +long-term and -long-term mean them side by side
/// </code>
/// </remarks>
internal sealed class TextQuery
{
    private TextQuery(List<QueryClause> clauses)
    {
        Clauses = [.. clauses];
        foreach (var clause in clauses)
        {
            HasRequired |= clause.Role == ClauseRole.Required;
            HasExcluded |= clause.Role == ClauseRole.Excluded;
        }
    }

    internal QueryClause[] Clauses { get; }

    internal bool HasRequired { get; }

    internal bool HasExcluded { get; }

    /// <param name="isLiteral">No operators: all of it is words (SRCH-16).</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: an operator that makes no sense, with its
    /// place.</exception>
    /// <exception cref="LimitException">LIM-21.</exception>
    internal static TextQuery Parse(string text, bool isLiteral, TextAnalyzer analyzer, Limits limits)
    {
        if (Utf8.GetByteCount(text) is var bytes && bytes > limits.SearchTextBytesMax)
            throw new LimitException(nameof(limits.SearchTextBytesMax), limits.SearchTextBytesMax, bytes, "bytes");
        var parser = new Parser(text, analyzer, limits.SearchTermsMax);
        if (isLiteral && !Mutant.Is("text-literal-has-operators"))
            parser.AddWords(text, ClauseRole.Wanted);
        else
            parser.Parse();
        return new TextQuery(parser.Clauses);
    }

    private sealed class Parser(string text, TextAnalyzer analyzer, int termsMax)
    {
        private int _terms;

        internal List<QueryClause> Clauses { get; } = [];

        internal void Parse()
        {
            var at = 0;
            var asksForAny = false;                          // be it for stop words, which are nowhere
            while (at < text.Length)
            {
                if (char.IsWhiteSpace(text[at]))
                {
                    at++;
                    continue;
                }

                var role = ClauseRole.Wanted;
                var begin = at;
                if (text[at] is '+' or '-')
                {
                    role = text[at] == '+' ? ClauseRole.Required : ClauseRole.Excluded;
                    at++;
                    if (at == text.Length || char.IsWhiteSpace(text[at]))
                        continue;                            // a dash between words
                }

                asksForAny |= role != ClauseRole.Excluded;
                at = text[at] == '"' ? Phrase(at, role) : Words(at, role);
                Invariant.Check(at > begin, "each part of a query ends behind where it begins");
            }

            if (Clauses.Count > 0 && !asksForAny)
                throw Wrong(0, "all of it is excluded, and nothing is asked for: name a word to look for");
        }

        // From a quotation mark to behind the one that closes it.
        private int Phrase(int open, ClauseRole role)
        {
            var close = text.IndexOf('"', open + 1);
            if (close < 0)
                throw Wrong(open, "the phrase that begins there does not end: close it with \"");
            if (close + 1 < text.Length && text[close + 1] == '*')
                throw Wrong(close + 1, "* stands behind a phrase: it belongs at the end of a word");
            AddPhrase(text[(open + 1)..close], role);
            return close + 1;
        }

        // To a space, a quotation mark or the end.
        private int Words(int begin, ClauseRole role)
        {
            var end = begin;
            while (end < text.Length && !char.IsWhiteSpace(text[end]) && text[end] != '"')
                end++;
            var chunk = text[begin..end];
            var star = chunk.IndexOf('*', StringComparison.Ordinal);
            if (star < 0)
            {
                if (role == ClauseRole.Wanted)
                    AddWords(chunk, role);
                else
                    AddPhrase(chunk, role);
                return end;
            }

            if (star < chunk.Length - 1)
                throw Wrong(begin + star, "* stands inside of a word: it belongs at its end");
            AddPrefix(chunk[..star], begin + star, role);
            return end;
        }

        internal void AddWords(string words, ClauseRole role)
        {
            foreach (var (term, _) in Terms(words))
                Add(new QueryClause(ClauseKind.Term, [term], [0]) { Role = role });
        }

        private void AddPhrase(string words, ClauseRole role)
        {
            var terms = Terms(words);
            if (terms.Count == 0)
                return;                                      // stop words alone are nowhere
            var kind = terms.Count == 1 ? ClauseKind.Term : ClauseKind.Phrase;
            int[] offsets = [.. terms.Select(term => term.Position - terms[0].Position)];
            Add(new QueryClause(kind, [.. terms.Select(term => term.Term)], offsets) { Role = role });
        }

        // What is before the last word is words.
        private void AddPrefix(string chunk, int star, ClauseRole role)
        {
            var bytes = Utf8.GetBytes(chunk);
            Span<byte> buffer = stackalloc byte[Tokenizer.BufferBytes];
            var last = Tokenizer.LastWord(bytes, buffer, out var start);
            if (last.IsEmpty)
                throw Wrong(star, "* stands behind no letter: it belongs at the end of a word");
            AddWords(Utf8.GetTrustedString(bytes.AsSpan(0, start)), role);
            Add(new QueryClause(ClauseKind.Prefix, [last.ToArray()], [0]) { Role = role });
        }

        private List<(byte[] Term, int Position)> Terms(string words)
        {
            var terms = new List<(byte[] Term, int Position)>();
            Span<byte> buffer = stackalloc byte[Tokenizer.BufferBytes];
            var reader = analyzer.Read(Utf8.GetBytes(words), buffer);
            while (reader.MoveNext())
                terms.Add((reader.Term.ToArray(), reader.Position));
            return terms;
        }

        private void Add(QueryClause clause)
        {
            var same = Clauses.FindIndex(other => other.IsSame(clause)
                && (other.Role == ClauseRole.Excluded) == (clause.Role == ClauseRole.Excluded));
            if (same >= 0)
            {
                var other = Clauses[same];
                Clauses[same] = other with
                {
                    Times = other.Times + 1, Role = (ClauseRole)Math.Max((int)other.Role, (int)clause.Role),
                };
                return;
            }

            _terms += clause.Terms.Length;
            if (_terms > termsMax)
                throw new LimitException(nameof(Limits.SearchTermsMax), termsMax, _terms, "terms");
            Clauses.Add(clause);
        }

        private static CairnException Wrong(int at, string why) => new(
            ErrorCode.InvalidArgument,
            $"The query cannot be read at character {at}: {why}. Text that is no query is searched for literally (IsLiteral).");
    }
}
