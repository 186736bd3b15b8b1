namespace Cairn;

/// <summary>A concept of a run's graph: something that is known, by an id.</summary>
public sealed record Concept
{
    internal Concept()
    {
    }

    /// <summary>What it is known by.</summary>
    public required string Id { get; init; }

    /// <summary>What kind of thing it is; null when nobody said.</summary>
    public string? Type { get; init; }

    /// <summary>What is known, as text; null when there is none. An empty text is one.</summary>
    public string? Content { get; init; }

    /// <summary>An Object; empty when there are none.</summary>
    public Value Attributes { get; init; } = Value.Object();

    /// <summary>As it was written, 0 to 1; what is left of it at a time is <see cref="StrengthAt"/>.</summary>
    public double Strength { get; init; }

    /// <summary>0 to 1. Changed by writes alone.</summary>
    public double Confidence { get; init; }

    /// <summary>How its strength fades while nobody uses it.</summary>
    public ConceptDecay Decay { get; init; } = ConceptDecay.None;

    /// <summary>Commit time of its first Put.</summary>
    public DateTimeOffset Created { get; init; }

    /// <summary>How often it was touched.</summary>
    public long Accesses { get; init; }

    /// <summary>When it was touched last; null = never.</summary>
    public DateTimeOffset? LastAccess { get; init; }

    /// <summary>Sum of what was said of its use: see <see cref="ConceptGraph.Feedback"/>.</summary>
    public double Feedback { get; init; }

    /// <summary>Sequence of the commit that last changed its type, strength, confidence or decay, or put it;
    /// <see cref="Sequence.None"/> inside the transaction that did.</summary>
    public Sequence Version { get; init; }

    /// <summary>Strength at a time: what was written, faded since the last access (or the creation), and raised by accesses and feedback,
    /// within 0 and 1: clamp(base · R + 0.01 · ln(1 + accesses) + feedback). A function of what is recorded; nothing is changed by asking
    /// (GR-25).</summary>
    public double StrengthAt(DateTimeOffset time)
    {
        var hours = Math.Max(0, (time - (LastAccess ?? Created)).TotalHours);
        var left = Strength * Decay.Retention(hours, Accesses);
        return Math.Clamp(left + (0.01 * Math.Log(1 + Accesses)) + Feedback, 0, 1);
    }
}

/// <summary>What a Put says of a concept; what is null stays as it is.</summary>
public sealed record ConceptFields
{
    /// <summary>Text; at most <see cref="Limits.ConceptContentBytesMax"/>. It can be replaced, not taken away.</summary>
    public string? Content { get; init; }

    /// <summary>A name.</summary>
    public string? Type { get; init; }

    /// <summary>Takes the type away. Not together with one.</summary>
    public bool ClearsType { get; init; }

    /// <summary>An Object of at most <see cref="Limits.MetadataBytesMax"/>, in place of all there were; the empty one takes them
    /// away.</summary>
    public Value? Attributes { get; init; }

    /// <summary>0 to 1; of a new concept 1.</summary>
    public double? Strength { get; init; }

    /// <summary>0 to 1; of a new concept 1.</summary>
    public double? Confidence { get; init; }

    /// <summary>How the strength fades; of a new concept not at all.</summary>
    public ConceptDecay? Decay { get; init; }

    internal static ConceptFields None { get; } = new();
}

/// <summary>How the strength of a concept fades while nobody uses it: its retention R, from 1 at once to less and less (GR-26). Compared by
/// what it says.</summary>
public sealed record ConceptDecay
{
    /// <summary>Hours after which 1/e is left, where none are given.</summary>
    public const double ExponentialHours = 1.96;

    /// <summary>Exponent of the power, where none is given.</summary>
    public const double PowerExponent = 0.18;

    private const long Exponentially = 1, ByPower = 2, InTwoStages = 3;

    private const int TwoStageAccesses = 3;

    private ConceptDecay(long kind, double parameter) => (Kind, Parameter) = (kind, parameter);

    private long Kind { get; }

    private double Parameter { get; }

    /// <summary>It does not fade: R is 1.</summary>
    public static ConceptDecay None { get; } = new(0, 0);

    /// <summary>R = e^(-hours / <paramref name="hours"/>).</summary>
    /// <param name="hours">More than 0, finite.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.ConstraintViolation"/>.</exception>
    public static ConceptDecay Exponential(double hours = ExponentialHours) => new(Exponentially, Positive(hours));

    /// <summary>R = (1 + hours)^-<paramref name="exponent"/>.</summary>
    /// <param name="exponent">More than 0, finite.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.ConstraintViolation"/>.</exception>
    public static ConceptDecay Power(double exponent = PowerExponent) => new(ByPower, Positive(exponent));

    /// <summary>Exponential until it was accessed three times, then by the power, both as they are by default.</summary>
    public static ConceptDecay TwoStage { get; } = new(InTwoStages, 0);

    private static double Positive(double number) => number > 0 && double.IsFinite(number)
        ? number
        : throw new CairnException(ErrorCode.ConstraintViolation, $"A decay has a finite number more than 0, and this is {number}.");

    /// <summary>R, from 1 to 0.</summary>
    /// <param name="hours">Since the last access; less than 0 counts as 0.</param>
    /// <param name="accesses">So far.</param>
    public double Retention(double hours, long accesses)
    {
        hours = Math.Max(0, hours);
        return Kind switch
        {
            Exponentially => Math.Exp(-hours / Parameter),
            ByPower => Math.Pow(1 + hours, -Parameter),
            InTwoStages => accesses < TwoStageAccesses ? Math.Exp(-hours / ExponentialHours) : Math.Pow(1 + hours, -PowerExponent),
            _ => 1,
        };
    }

    internal Value ToValue() => Value.Array(Kind, Parameter);

    internal static bool TryRead(in Value value, out ConceptDecay decay)
    {
        decay = None;
        if (value.Kind != ValueKind.Array || value.Count != 2 || value[0].Kind != ValueKind.Int64 || value[1].Kind != ValueKind.Float64)
            return false;
        var (kind, parameter) = (value[0].AsInt64(), value[1].AsFloat64());
        if (kind is not (Exponentially or ByPower or InTwoStages)
            || (kind == InTwoStages ? parameter != 0 : !(parameter > 0) || !double.IsFinite(parameter)))
        {
            return false;
        }

        decay = new ConceptDecay(kind, parameter);
        return true;
    }

    /// <summary>A word, and behind a colon the number, such as <c>power:0.18</c>.</summary>
    public override string ToString() => Kind switch
    {
        Exponentially => FormattableString.Invariant($"exponential:{Parameter}"),
        ByPower => FormattableString.Invariant($"power:{Parameter}"),
        InTwoStages => "two-stage",
        _ => "none",
    };
}
