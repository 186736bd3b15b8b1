using Xunit;

namespace Cairn.Tests.Tables;

/// <summary>A merge keeps what somebody may ask for, and nothing else.</summary>
public class TableMergeTests(ITestOutputHelper output)
{
    private static readonly RunId Run = RunId.Default;

    private sealed record World(TableTestBed Bed, List<Row>[] Rows, Image Image, ulong Last, RunId[] Runs, byte[][] Keys);

    [Fact]
    [Trait("Requirement", "RET-5")]
    public void RET5_A_merge_reads_like_its_tables_wherever_somebody_may_look_and_keeps_nothing_more()
    {
        foreach (var seed in Seeds.Take(Seeds.Scaled(150), output))
        {
            var random = new Random(seed);
            using var bed = new TableTestBed();
            var world = Make(bed, random);
            var tables = world.Image.Tables.Length;
            var first = random.Next(tables);
            var count = random.Next(1, tables - first + 1);
            var pins = Enumerable.Range(0, random.Next(4)).Select(_ => (ulong)random.NextInt64((long)world.Last + 2)).Order().ToArray();
            ulong Sequence() => (ulong)random.NextInt64((long)world.Last);
            var ruleOf = world.Runs.ToDictionary(run => run, _ => random.Next(3) switch
            {
                0 => RunRule.NewestOnly,
                1 => new RunRule(random.Next(1, 4), ulong.MaxValue, random.Next(2) == 0 ? 0 : Sequence()),
                _ => new RunRule(1, Sequence(), random.Next(2) == 0 ? 0 : Sequence()),
            });
            var rules = new MergeRules(pins, run => ruleOf[run], first + count == tables);
            using var merge = new TableMerge(
                bed.Storage, 99, TableTestBed.DatabaseId, TableTestBed.Salt, world.Image.Tables.Slice(first, count), rules);
            var step = random.Next(1, 100);
            while (!merge.Step(step))
            {
            }

            var merged = bed.Open(merge.Result!);
            merged.Verify();
            var sources = world.Rows.Skip(first).Take(count).SelectMany(rows => rows).ToList();
            sources.Sort(RowOrder.Instance);
            CompareAll(Expected(sources, rules), new Image(merged).Versions());
            CompareReads(world, world.Image.WithMerged(first, count, merged), pins, ruleOf);
        }
    }

    [Fact]
    [Trait("Requirement", "RET-5")]
    public void A_tombstone_stays_while_something_older_may_lie_below()
    {
        using var bed = new TableTestBed();
        var below = bed.Make(1, [Put("a", 1)]);
        var above = bed.Make(2, [Delete("a", 2), Put("b", 3)]);
        var image = new Image(above, below);

        var upper = Merge(bed, 3, image.Tables[..1], isBottom: false);
        Assert.Equal(1, upper.Info.Tombstones);
        Assert.True(image.WithMerged(0, 1, upper).TryGet(Run, "a"u8, 9, out var version) && version.IsTombstone);

        var all = Merge(bed, 4, image.Tables, isBottom: true);
        Assert.Equal((1, 0), (all.Info.Entries, all.Info.Tombstones));
        Assert.False(new Image(all).TryGet(Run, "a"u8, 9, out _));
    }

    [Fact]
    [Trait("Requirement", "RET-5")]
    public void What_remains_of_a_deleted_key_never_goes()
    {
        using var bed = new TableTestBed();
        var table = bed.Make(1, [Delete("cell", 2) with { Value = [1, 2, 3] }, Put("cell", 1)]);
        Assert.Equal(1, Merge(bed, 2, [table], isBottom: true).Info.Entries);
    }

    [Fact]
    public void A_version_that_two_tables_have_counts_as_the_newer_one_has_it()
    {
        using var bed = new TableTestBed();
        var older = bed.Make(1, [Put("a", 5), Put("b", 4)]);
        var newer = bed.Make(2, [Put("a", 5) with { Value = [7] }]);
        var merged = Merge(bed, 3, [newer, older], isBottom: true);
        Assert.Equal(2, merged.Info.Entries);
        Assert.True(new Image(merged).TryGet(Run, "a"u8, 5, out var version));
        Assert.Equal([7], version.Value.ToArray());
    }

    [Fact]
    public void A_merge_that_is_given_up_leaves_nothing()
    {
        using var bed = new TableTestBed();
        var table = bed.Make(1, Enumerable.Range(1, 1000).Select(i => Put($"key {i}", (ulong)i)));
        using (var merge = Begin(bed, 2, [table], isBottom: true))
            Assert.False(merge.Step(500));
        Assert.Equal(["0000000001.table"], bed.Storage.List("tables"));
    }

    [Fact]
    [Trait("Promise", "G6")]
    public void A_merge_of_a_damaged_table_publishes_nothing()
    {
        using var bed = new TableTestBed();
        var info = bed.Write(1, Enumerable.Range(1, 2000).Select(i => Put($"key {i}", (ulong)i)));
        using (var file = bed.Storage.Open(info.Path, writable: true))
            file.WriteAt([0xFF, 0xFF], info.FileBytes / 2);
        using (var merge = Begin(bed, 2, [bed.Open(info)], isBottom: true))
        {
            Assert.Throws<CorruptionException>(() =>
            {
                while (!merge.Step(10))
                {
                }
            });
        }

        Assert.Equal(["0000000001.table"], bed.Storage.List("tables"));
    }

    private static World Make(TableTestBed bed, Random random)
    {
        var keys = ImageTests.MakeKeys(random, random.Next(1, 12));
        var runs = Enumerable.Range(1, random.Next(1, 4)).Select(i => new RunId((UInt128)i)).ToArray();
        var all = new List<List<Row>>();
        var image = Image.Empty;
        var sequence = 0UL;
        for (var number = 1u; number <= random.Next(1, 5); number++)
        {
            var rows = new List<Row>();
            for (var i = random.Next(1, 60); i > 0; i--)
            {
                // Several keys of one commit share its sequence.
                sequence += random.Next(3) == 0 || rows.Count == 0 ? 1UL : 0;
                var row = ImageTests.MakeRow(random, runs[random.Next(runs.Length)], keys[random.Next(keys.Length)], sequence);
                if (!rows.Exists(other => RowOrder.Instance.Compare(row, other) == 0))
                    rows.Add(row);
            }

            all.Insert(0, rows);
            image = image.With(bed.Make(number, rows));
        }

        return new World(bed, [.. all], image, sequence, runs, keys);
    }

    // The rules again, in the slowest way: every pin and every version looked at.
    private static List<Row> Expected(List<Row> sources, MergeRules rules)
    {
        var result = new List<Row>();
        foreach (var versions in sources.GroupBy(row => (row.Run, Convert.ToHexString(row.Key))).Select(group => group.ToList()))
        {
            var rule = rules.RuleOf(versions[0].Run);
            var kept = new List<(Row Row, bool MayGoLast)>();
            for (var i = 0; i < versions.Count; i++)
            {
                var row = versions[i];
                var ends = i > 0 ? versions[i - 1].Sequence : ulong.MaxValue;
                var isDeleted = row.Sequence < rule.DeletedAt;
                if (isDeleted)
                    ends = Math.Min(ends, rule.DeletedAt);
                var asked = !isDeleted && (i < rule.Versions || ends > rule.Since);
                if (ends != ulong.MaxValue && !asked && !rules.Pins.Any(pin => pin >= row.Sequence && pin < ends))
                    continue;
                var isPlain = row.IsTombstone && row.Value.Length == 0;
                kept.Add((row, isPlain && !(asked && (rule.Versions > 1 || row.Sequence > rule.Since))));
            }

            // Of the tombstones with nothing older, only those go that nobody asked for.
            var last = kept.FindLastIndex(one => !(one.Row.IsTombstone && one.Row.Value.Length == 0));
            for (var i = 0; i < kept.Count; i++)
            {
                if (!rules.IsBottom || i <= last || !kept[i].MayGoLast)
                    result.Add(kept[i].Row);
            }
        }

        return result;
    }

    private static void CompareAll(List<Row> expected, VersionCursor versions)
    {
        foreach (var row in expected)
        {
            Assert.True(versions.MoveNext());
            Assert.Equal((row.Run, row.Sequence), (versions.Run, versions.Version.Sequence));
            Assert.Equal(row.Key, versions.Key.ToArray());
            Assert.True(row.IsTheSameAs(versions.Version));
        }

        Assert.False(versions.MoveNext());
    }

    private static void CompareReads(World world, Image after, ulong[] pins, Dictionary<RunId, RunRule> ruleOf)
    {
        foreach (var run in world.Runs)
        {
            var rule = ruleOf[run];
            foreach (var at in pins.Append(world.Last + 1).Concat([rule.Since, rule.Since / 2 + world.Last / 2]).Where(at =>
                at > world.Last || at >= rule.Since || pins.Contains(at)))
            {
                foreach (var key in world.Keys)
                {
                    // Behind its deletion nobody looks at what a run had before; a run that took the id begins with nothing.
                    var before = world.Image.TryGet(run, key, at, out var was) && !(was.Sequence < rule.DeletedAt && at >= rule.DeletedAt);
                    var now = after.TryGet(run, key, at, out var found) && !(found.Sequence < rule.DeletedAt && at >= rule.DeletedAt);
                    if (before && !was.IsPlainTombstone && (was.Sequence >= rule.DeletedAt || pins.Contains(at)))
                        Assert.True(now && found.Sequence == was.Sequence && found.Stored.SequenceEqual(was.Stored));
                    else if (was.Sequence >= rule.DeletedAt)
                        Assert.False(now && !found.IsPlainTombstone && before);
                }
            }
        }
    }

    private static TableMerge Begin(TableTestBed bed, uint number, ReadOnlySpan<Table> tables, bool isBottom) => new(
        bed.Storage, number, TableTestBed.DatabaseId, TableTestBed.Salt, tables, new MergeRules([], _ => RunRule.NewestOnly, isBottom));

    private static Table Merge(TableTestBed bed, uint number, ReadOnlySpan<Table> tables, bool isBottom)
    {
        using var merge = Begin(bed, number, tables, isBottom);
        Assert.True(merge.Step(int.MaxValue));
        return bed.Open(merge.Result!);
    }

    private static Row Put(string key, ulong sequence) =>
        new(Run, System.Text.Encoding.UTF8.GetBytes(key), sequence, [(byte)sequence]);

    private static Row Delete(string key, ulong sequence) => Put(key, sequence) with { IsTombstone = true, Value = [] };
}
