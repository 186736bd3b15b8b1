namespace Cairn;

/// <summary>How much work a search may do. A budget that ends raises no error: what was found so far is ranked, and the answer says that it
/// is not complete.</summary>
public sealed record SearchBudget
{
    internal static SearchBudget FromLimits { get; } = new();

    /// <summary>Longest time, more than zero; looked at now and then. Null = in a search by words <see cref="Limits.SearchTime"/>, which
    /// may be exceeded up to 60 s; in one of a collection of vectors as long as it takes.</summary>
    public TimeSpan? Time { get; init; }

    /// <summary>Most candidates, at least 1: in a search by words things that have the words and pass the filters, and are ranked; in one
    /// of a collection vectors whose scores are computed. Null = of words <see cref="Limits.SearchCandidates"/>, at most 10,000,000; of a
    /// collection all there are.</summary>
    public long? Candidates { get; init; }

    /// <summary>The same of each primitive, in a search by words. Null = <see cref="Limits.SearchCandidatesPerPrimitive"/>; at most
    /// 10,000,000. A search of one collection of vectors refuses it.</summary>
    public long? CandidatesPerPrimitive { get; init; }
}
