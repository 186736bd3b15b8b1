namespace Cairn.Search;

/// <summary>What a search has spent of its budget (SRCH-8), and whether it was called off (SRCH-9). One for all its legs.</summary>
internal sealed class Effort(SearchRequest request, TimeProvider clock, CancellationToken cancellationToken)
{
    private const int StepsPerQuestion = 64;

    private readonly long _began = clock.GetTimestamp();
    private int _steps;
    private int _candidates;
    private int _ofPrimitive;

    /// <summary>Which part ended first.</summary>
    internal SearchExhaustion Exhausted { get; private set; }

    internal TimeSpan Elapsed => clock.GetElapsedTime(_began);

    /// <summary>The time is over, or as many candidates as the whole search may have.</summary>
    internal bool IsOver => Exhausted is SearchExhaustion.Time or SearchExhaustion.Candidates;

    /// <summary>The next primitive counts from none on.</summary>
    internal void BeginPrimitive() => _ofPrimitive = 0;

    /// <summary>Between two things. False: enough.</summary>
    /// <exception cref="OperationCanceledException">The search was called off.</exception>
    internal bool Step() => ++_steps % StepsPerQuestion != 0 || HasTime();

    /// <inheritdoc cref="Step"/>
    internal bool HasTime()
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (Elapsed < request.Time)
            return true;
        if (Exhausted is SearchExhaustion.None or SearchExhaustion.CandidatesPerPrimitive)
            Exhausted = SearchExhaustion.Time;
        return false;
    }

    /// <summary>Another candidate. False: there may be no more.</summary>
    internal bool TakeCandidate()
    {
        if (_candidates >= request.Candidates)
        {
            Exhausted = SearchExhaustion.Candidates;
            return false;
        }

        if (_ofPrimitive >= request.CandidatesPerPrimitive)
        {
            if (Exhausted == SearchExhaustion.None)
                Exhausted = SearchExhaustion.CandidatesPerPrimitive;
            return false;
        }

        _candidates++;
        _ofPrimitive++;
        return true;
    }
}
