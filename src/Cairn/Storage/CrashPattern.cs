namespace Cairn.Storage;

/// <summary>What a crash makes of one operation that was not synced. Names and lengths know only kept and lost: every other
/// choice keeps them.</summary>
internal enum CrashChoice : byte
{
    Lost,
    Kept,

    /// <summary>Any subset of the 512-byte sectors arrived.</summary>
    Torn,

    /// <summary>The first part of the bytes arrived, cut anywhere in a sector.</summary>
    FirstHalf,

    SecondHalf,

    /// <summary>The file has grown, the bytes have not arrived.</summary>
    SizeOnly,

    /// <summary>Everything arrived but one sector, whose part in the write holds garbage.</summary>
    Garbage,
}

/// <summary>One way in which power can fail: a choice for each unsynced operation, in the order in which they were issued, and a seed
/// for what a choice leaves open (which sectors, which garbage, the order of overlapping writes).</summary>
internal sealed class CrashPattern
{
    private readonly string name;
    private readonly ulong seed;
    private readonly Func<IReadOnlyList<UnsyncedOperation>, Chance, CrashChoice[]> choose;

    private CrashPattern(string name, ulong seed, Func<IReadOnlyList<UnsyncedOperation>, Chance, CrashChoice[]> choose)
    {
        this.name = name;
        this.seed = seed;
        this.choose = choose;
    }

    /// <summary>Nothing unsynced arrived.</summary>
    internal static CrashPattern None { get; } = Each("none", (_, _) => CrashChoice.Lost);

    /// <summary>Everything arrived: what a killed process leaves on a machine that lives on.</summary>
    internal static CrashPattern All { get; } = Each("all", (_, _) => CrashChoice.Kept);

    /// <summary>Files have their new names and none of their unsynced bytes: zero length where they are new (XFS, btrfs).</summary>
    internal static CrashPattern NamesWithoutData { get; } =
        Each("names without data", (_, operation) => operation.IsOfNames ? CrashChoice.Kept : CrashChoice.Lost);

    internal static CrashPattern DataWithoutNames { get; } =
        Each("data without names", (_, operation) => operation.IsOfNames ? CrashChoice.Lost : CrashChoice.Kept);

    /// <summary>True when bytes of overlapping writes may land in another order than they were issued.</summary>
    internal bool Reorders { get; private init; }

    /// <summary>Only this operation arrived, without any that was issued before it.</summary>
    internal static CrashPattern Only(int index) =>
        Each($"only {index}", (i, _) => i == index ? CrashChoice.Kept : CrashChoice.Lost);

    internal static CrashPattern AllBut(int index) =>
        Each($"all but {index}", (i, _) => i == index ? CrashChoice.Lost : CrashChoice.Kept);

    /// <summary>These choices, and Lost for operations beyond them.</summary>
    internal static CrashPattern Of(params CrashChoice[] choices) => Of(0, choices);

    internal static CrashPattern Of(ulong seed, params CrashChoice[] choices) => Each(
        $"{string.Join(',', choices)} seed {seed}", (i, _) => i < choices.Length ? choices[i] : CrashChoice.Lost, seed);

    /// <summary>Everything drawn from the seed: the temper of the crash, then a choice for each operation.</summary>
    internal static CrashPattern Random(ulong seed) => new($"seed {seed}", seed, Draw) { Reorders = true };

    /// <summary>The patterns of an exhaustive test: none, all, names or data alone, each operation alone, each missing, and some
    /// random ones.</summary>
    internal static IEnumerable<CrashPattern> Exhaustive(int operations, ulong seed, int randomCount)
    {
        yield return None;
        if (operations == 0)
            yield break;
        yield return All;
        yield return NamesWithoutData;
        yield return DataWithoutNames;
        for (var i = 0; i < operations; i++)
        {
            yield return Only(i);
            yield return AllBut(i);
        }

        for (var i = 0; i < randomCount; i++)
            yield return Random(seed + (ulong)i);
    }

    internal CrashChoice[] Choose(IReadOnlyList<UnsyncedOperation> operations, out Chance chance)
    {
        chance = new Chance(seed);
        return choose(operations, chance);
    }

    public override string ToString() => name;

    private static CrashPattern Each(string name, Func<int, UnsyncedOperation, CrashChoice> choose, ulong seed = 0) =>
        new(name, seed, (operations, _) =>
        {
            var choices = new CrashChoice[operations.Count];
            for (var i = 0; i < choices.Length; i++)
                choices[i] = choose(i, operations[i]);
            return choices;
        });

    /// <summary>Purely independent choices would hardly ever keep or lose a whole file, or get behind the first few operations; so the
    /// temper of a crash comes first.</summary>
    private static CrashChoice[] Draw(IReadOnlyList<UnsyncedOperation> operations, Chance chance)
    {
        const int kinds = (int)CrashChoice.Garbage + 1;
        var choices = new CrashChoice[operations.Count];
        var temper = chance.Below(4);
        var arrived = chance.OneIn(2) ? chance.Below(choices.Length + 1) : 0;       // a write-back in progress: these are through
        var fates = new Dictionary<object, int>(ReferenceEqualityComparer.Instance);
        for (var i = 0; i < choices.Length; i++)
        {
            var any = (CrashChoice)chance.Below(kinds);
            var whole = (CrashChoice)chance.Below(2);
            if (!fates.TryGetValue(operations[i].Subject, out var fate))
                fates.Add(operations[i].Subject, fate = chance.Below(3));
            choices[i] = temper switch
            {
                _ when i < arrived => CrashChoice.Kept,
                0 => whole,                                     // operations arrive whole or not at all, in any order
                1 => fate < 2 ? (CrashChoice)fate : any,        // whole files and directories do
                _ => any,
            };
        }

        return choices;
    }
}
