using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Documents;

/// <summary>Two commits on one document: a transaction that looked at a place or writes to one, and a change that came between. They
/// conflict when the place is one that the change made another, and only then. The rules are written here a second time, on paths, and held
/// against the engine for every pair.</summary>
[Trait("Promise", "G8")]
public class DocumentConflictTests
{
    private static readonly Value Document = Value.FromJson(
        """{"a":{"b":{"x":1},"c":2},"list":[{"x":1},{"x":2},5],"n":7,"s":"t","empty":{}}""");

    private static readonly string[] Places =
    [
        "$", "$.a", "$.a.b", "$.a.b.x", "$.a.c", "$.a.none", "$.n", "$.s", "$.none", "$.empty", "$.list", "$.list[0]", "$.list[0].x",
        "$.list[1].x", "$.list[2]", "$.list[7]", "$.none.deep",
    ];

    /// <summary>What a transaction does, by name.</summary>
    private static readonly string[] Looks = ["get", "exists", "kind", "length", "set", "delete", "append", "add"];

    private static readonly string[] Changes = ["set", "set kind", "delete", "append", "insert", "remove", "put"];

    public static MatrixTheoryData<string, Isolation> LooksAtLevels => new(Looks, [Isolation.Serializable, Isolation.Snapshot]);

    [Theory]
    [MemberData(nameof(LooksAtLevels))]
    [Trait("Requirement", "JS-21")]
    [Trait("Requirement", "JS-22")]
    [Trait("Requirement", "JS-23")]
    [Trait("Requirement", "JS-24")]
    [Trait("Requirement", "JS-25")]
    [Trait("Requirement", "TX-12")]
    [Trait("Requirement", "TX-24")]
    public void JS_21_Every_pair_of_a_look_and_a_change_conflicts_when_places_overlap(string look, Isolation isolation)
    {
        var findings = new List<string>();
        var pairs = 0;
        foreach (var place in Places)
        {
            foreach (var change in Changes)
            {
                foreach (var changed in Places)
                {
                    if (Judge(look, place, change, changed, isolation) is not { } judged)
                        continue;
                    pairs++;
                    if (judged.Conflicts != judged.Expected)
                        findings.Add($"{look} {place} | {change} {changed}: {(judged.Conflicts ? "a conflict" : "no conflict")}");
                }
            }
        }

        Assert.True(pairs > 50, $"{pairs} pairs");
        Assert.Empty(findings);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "JS-21")]
    public void JS_21_Sixty_four_writers_of_sixty_four_fields_never_conflict_and_lose_nothing(Durability mode)
    {
        using var database = new TestDatabase(mode);
        database.Run.Json.Create("plan", Value.Object(("started", true)));
        var conflicts = 0;
        var threads = Enumerable.Range(0, 64).Select(me => new Thread(() =>
        {
            for (var round = 0; round < 5; round++)
            {
                try
                {
                    database.Run.Transact(
                        tx =>
                        {
                            var old = tx.Json.Get("plan", $"$.fields.f{me}") is { } found ? found.AsInt64() : 0;
                            tx.Json.Set("plan", $"$.fields.f{me}", old + 1);
                            tx.Json.Add("plan", "$.all", 1);
                        },
                        new TransactionOptions { Retries = 0 });
                }
                catch (ConflictException)
                {
                    Interlocked.Increment(ref conflicts);
                    round--;
                }
            }
        })).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());

        Assert.Equal(0, conflicts);
        database.NowAndAfterReopening(() =>
        {
            Assert.Equal(64 * 5, database.Run.Json.Get("plan", "$.all")!.Value.AsInt64());
            var fields = database.Run.Json.Get("plan", "$.fields")!.Value.AsObject();
            Assert.Equal(64, fields.Count);
            Assert.All(fields.Values, field => Assert.Equal(5, field.AsInt64()));
        });
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "JS-24")]
    [Trait("Requirement", "TX-15")]
    public void JS_24_Appends_additions_and_prolonged_texts_of_two_transactions_come_one_behind_the_other(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var json = database.Run.Json;
        json.Create("d", Value.Object(("list", Value.Array(1)), ("n", 10), ("text", "a")));
        using (var one = database.Run.BeginTransaction())
        {
            using var two = database.Run.BeginTransaction();
            foreach (var (transaction, number, text) in new[] { (one, 2, "b"), (two, 3, "c") })
            {
                transaction.Json.ArrayAppend("d", "$.list", number);
                transaction.Json.Add("d", "$.n", number);
                transaction.Json.StringAppend("d", "$.text", text);
                transaction.Json.Set("d", $"$.new.{text}", number);
            }

            two.Commit();
            one.Commit();
        }

        database.NowAndAfterReopening(() => Assert.Equal(
            """{"list":[1,3,2],"n":15,"new":{"b":2,"c":3},"text":"acb"}""", database.Run.Json.Get("d")!.Value.ToJson()));
    }

    [Fact]
    [Trait("Requirement", "JS-24")]
    public void JS_24_Who_reads_what_its_own_append_or_addition_came_to_has_read_what_was_beneath()
    {
        Action<Transaction>[] reads =
        [
            tx => tx.Json.Get("d", "$.list[1]"), tx => tx.Json.Get("d", "$.list"), tx => tx.Json.ArrayLength("d", "$.list"),
            tx => tx.Json.Get("d", "$.n"), tx => tx.Json.Get("d", "$.text"), tx => tx.Json.Increment("d", "$.n", 1), tx => tx.Json.Get("d"),
        ];
        foreach (var read in reads)
        {
            using var database = new TestDatabase(Durability.InMemory);
            database.Run.Json.Create("d", Value.Object(("list", Value.Array(1)), ("n", 10), ("text", "a")));
            using var transaction = database.Run.BeginTransaction();
            foreach (var json in new[] { transaction.Json, database.Run.Json })
            {
                json.ArrayAppend("d", "$.list", 2);
                json.Add("d", "$.n", 2);
                json.StringAppend("d", "$.text", "b");
                if (json == transaction.Json)
                    read(transaction);
            }

            Assert.Throws<ConflictException>(() => transaction.Commit());
        }
    }

    /// <summary>Who was told that something cannot be done has been told something: the transaction may go on, and has read it.</summary>
    [Fact]
    [Trait("Requirement", "TX-14")]
    public void TX_14_A_refusal_inside_a_transaction_is_a_read()
    {
        (Action<Json> Refused, Action<Json> Meanwhile)[] cases =
        [
            (json => json.Set("d", "$.list[3]", 1), json => json.ArrayAppend("d", "$.list", 6)),
            (json => json.Set("d", "$.list[7].x", 1), json => json.ArrayAppend("d", "$.list", 6, 7, 8, 9, Value.Object())),
            (json => json.Add("d", "$.s", 1), json => json.Set("d", "$.s", 5)),
            (json => json.StringAppend("d", "$.n", "x"), json => json.Set("d", "$.n", "text")),
            (json => json.Set("d", "$.n.x", 1), json => json.Set("d", "$.n", Value.Object())),
            (json => json.Patch("d", JsonPatch.Parse("[{\"op\":\"remove\",\"path\":\"/none\"}]")), json => json.Set("d", "$.none", 1)),
            (json => json.Merge("none", Value.Object()), json => json.Create("none", 1)),
            (json => json.ArrayAppend("d", "$.n", 1), json => json.Set("d", "$.n", Value.Array())),
        ];
        foreach (var (refused, meanwhile) in cases)
        {
            using var database = new TestDatabase(Durability.InMemory);
            database.Run.Json.Create("d", Document);
            using var transaction = database.Run.BeginTransaction();
            transaction.Kv.Put("marker", 1);
            Assert.ThrowsAny<CairnException>(() => refused(transaction.Json));
            meanwhile(database.Run.Json);
            Assert.Throws<ConflictException>(() => transaction.Commit());
        }
    }

    /// <summary>At Snapshot: what was read and is written over is validated, as the region that it is; what was only read is not.
    /// </summary>
    [Fact]
    [Trait("Requirement", "TX-24")]
    public void TX_24_At_Snapshot_who_reads_a_region_and_writes_over_it_loses_no_update()
    {
        (bool Conflicts, Action<Json> Own, Action<Json> Meanwhile)[] cases =
        [
            (true, json => json.Set("d", "$.n", json.Get("d", "$.n")!.Value.AsInt64() + 1), json => json.Add("d", "$.n", 1)),
            (true, json => json.Set("d", "$.a", json.Get("d", "$.a")!.Value), json => json.Set("d", "$.a.more", 1)),
            (true, json => json.Put("d", json.Get("d")!.Value), json => json.Set("d", "$.a.b.x", 7)),
            (true, json => json.Put("d", json.Get("d")!.Value), json => json.Set("d", "$.more", 7)),
            (true, json => { if (!json.Exists("d", "$.none")) json.Set("d", "$.none", 1); }, json => json.Set("d", "$.none", 2)),
            (true, json => { if (!json.Exists("e")) json.Put("e", 1); }, json => json.Put("e", 2)),
            (true, json => { json.ArrayLength("d", "$.list"); json.Set("d", "$.list[0]", 1); }, json => json.ArrayRemove("d", "$.list", 0)),
            (false, json => { json.Get("d", "$.a"); json.Set("d", "$.n", 1); }, json => json.Set("d", "$.a.c", 5)),
            (false, json => { json.Get("d"); json.Create("e", 1); }, json => json.Set("d", "$.n", 5)),
            (false, json => json.Set("d", "$.n", 1), json => json.Set("d", "$.n", 5)),
        ];
        for (var i = 0; i < cases.Length; i++)
        {
            var (conflicts, own, meanwhile) = cases[i];
            using var database = new TestDatabase(Durability.InMemory);
            database.Run.Json.Create("d", Document);
            using var transaction = database.Run.BeginTransaction(new TransactionOptions { Isolation = Isolation.Snapshot });
            own(transaction.Json);
            meanwhile(database.Run.Json);
            Assert.True(conflicts == Record.Exception(() => transaction.Commit()) is ConflictException, $"case {i}");
        }
    }

    [Fact]
    [Trait("Requirement", "JS-23")]
    public void JS_23_A_read_of_presence_or_kind_holds_while_large_texts_come_and_go()
    {
        using var database = new TestDatabase(Durability.Buffered);
        var (large, other) = (new string('x', 20_000), new string('y', 30_000));
        database.Run.Json.Create("d", Value.Object(("a", large), ("b", 1)));
        foreach (var (conflicts, look, now) in new (bool, Action<Json>, Value)[]
            { (false, json => json.Exists("d", "$.a"), other), (false, json => json.KindOf("d", "$.a"), other),
              (true, json => json.KindOf("d", "$.a"), new byte[20_000]), (false, json => json.Exists("d", "$.a"), new byte[30_000]) })
        {
            database.Run.Json.Set("d", "$.a", large);
            using var transaction = database.Run.BeginTransaction();
            look(transaction.Json);
            transaction.Json.Set("d", "$.b", 2);
            database.Run.Json.Set("d", "$.a", now);
            Assert.Equal(conflicts, Record.Exception(() => transaction.Commit()) is ConflictException);
        }
    }

    [Fact]
    [Trait("Requirement", "ERR-5")]
    public void ERR_5_A_conflict_says_at_which_place()
    {
        using var database = new TestDatabase(Durability.Buffered);
        database.Run.Json.Create("d", Document);
        using var transaction = database.Run.BeginTransaction();
        transaction.Json.Get("d", "$.a");
        transaction.Json.Set("d", "$.n", 1);
        database.Run.Json.Set("d", "$.a.b.x", 5);
        var conflict = Assert.Throws<ConflictException>(() => transaction.Commit());
        Assert.Equal(("json", "d", "$['a']['b']['x']"), (conflict.Primitive, conflict.Key, conflict.Region));
    }

    // Null: the pair makes no sense on this document.
    private static (bool Conflicts, bool Expected)? Judge(string look, string place, string change, string changed, Isolation isolation)
    {
        using var database = new TestDatabase(Durability.InMemory);
        var json = database.Run.Json;
        json.Create("d", Document);
        DocumentPath at = place;
        DocumentPath there = changed;
        var before = json.Get("d")!.Value;
        using var transaction = database.Run.BeginTransaction(new TransactionOptions { Isolation = isolation });
        transaction.Kv.Put("marker", 1);
        try
        {
            Do(look, transaction.Json, at);
        }
        catch (DocumentException)
        {
            return null;
        }

        try
        {
            Change(change, json, there);
        }
        catch (DocumentException)
        {
            return null;
        }

        if (json.Get("d") == before && change != "put")
            return null;                                     // nothing was there to delete
        // Snapshot leaves out what was only read, and who deletes nothing has only read; what a write rests on it does not.
        var isWrite = look is "set" or "append" or "add" || (look == "delete" && at.TryGet(Document, out _));
        var expected = (isolation == Isolation.Serializable || isWrite) && Expect(look, place, change, changed);
        try
        {
            transaction.Commit();
            return (false, expected);
        }
        catch (ConflictException)
        {
            return (true, expected);
        }
    }

    private static void Do(string look, Json json, DocumentPath at)
    {
        switch (look)
        {
            case "get":
                json.Get("d", at);
                break;
            case "exists":
                json.Exists("d", at);
                break;
            case "kind":
                json.KindOf("d", at);
                break;
            case "length":
                json.ArrayLength("d", at);
                break;
            case "set":
                json.Set("d", at, "new");
                break;
            case "delete":
                json.Delete("d", at);
                break;
            case "append":
                json.ArrayAppend("d", at, 1);
                break;
            default:
                json.Add("d", at, 1);
                break;
        }
    }

    private static void Change(string change, Json json, DocumentPath at)
    {
        var old = json.Get("d", at);
        switch (change)
        {
            case "set":                                      // of the same kind
                json.Set("d", at, old?.Kind switch
                {
                    ValueKind.Int64 => 99,
                    ValueKind.String => "other",
                    ValueKind.Array => Value.Array(9),
                    _ => Value.Object(("other", 1)),
                });
                break;
            case "set kind":
                json.Set("d", at, true);
                break;
            case "delete":
                json.Delete("d", at);
                break;
            case "append":
                json.ArrayAppend("d", at, 1);
                break;
            case "insert":
                json.ArrayInsert("d", at, 0, 1);
                break;
            case "remove":
                json.ArrayRemove("d", at, -1);
                break;
            default:
                json.Put("d", Document);
                break;
        }
    }

    // The rules, on the segments of paths.
    private static bool Expect(string look, string place, string change, string changed)
    {
        var at = Segments(place);
        var there = Segments(change == "put" ? "$" : changed);
        var isAppend = change == "append";
        var isOrder = change is "insert" or "remove" || (change == "delete" && there[^1][0] == '[');
        if (change == "delete" && there[^1][0] == '[')
            there = there[..^1];                             // it is the array that changes
        var isThrough = isOrder && at.Length > there.Length && IsPrefix(there, at) && at[there.Length][0] == '[';
        var isSame = at.Length == there.Length && IsPrefix(there, at);
        var isAbove = there.Length < at.Length && IsPrefix(there, at) && !isAppend && !isOrder;     // what holds the place was made another
        var isBelow = at.Length < there.Length && IsPrefix(at, there);
        var isPresent = Places.Contains(place) && ((DocumentPath)place).TryGet(Document, out _);
        var kind = ((DocumentPath)place).TryGet(Document, out var found) ? found.Kind : default(ValueKind?);
        switch (look)
        {
            case "get":
                // An element that is not there, of an array that grew: it might be there by now.
                if (isAppend && !isPresent && at.Length == there.Length + 1 && IsPrefix(there, at))
                    return true;
                return isThrough || isSame || isAbove || isBelow;
            case "exists" or "kind":
                if (isAppend && !isPresent && at.Length == there.Length + 1 && IsPrefix(there, at))
                    return true;
                if (isThrough || isAbove)
                    return true;
                if (!isSame || isAppend || isOrder)
                    return isBelow && !isPresent;
                return change switch
                {
                    "delete" => true,
                    "set" => !isPresent,
                    "set kind" => !isPresent || (look == "kind" && kind != ValueKind.Bool),
                    _ => false,
                };
            case "length":
                if (!isPresent)
                    return isSame || isAbove || isThrough || isBelow
                        || (isAppend && at.Length == there.Length + 1 && IsPrefix(there, at));
                return isThrough || isAbove || isSame;       // replaced, or longer, or shorter
            case "delete":
                if (isAppend && !isPresent && at.Length == there.Length + 1 && IsPrefix(there, at))
                    return true;
                return isThrough || isAbove || (changed == place && change == "delete") || (!isPresent && isSame)
                    || (!isPresent && isBelow);
            case "append":
                return isThrough || isAbove || (isSame && !isAppend && !isOrder);
            default:
                // A container on the way was made another; or one that was missing is there and is none.
                // And what is added to is a number, whoever wrote it.
                var isNoNumber = (isSame && !IsNumberAfter()) || (isBelow && !isPresent);
                return isThrough || (isAbove && !IsMadeObject()) || (look == "add" && isNoNumber);
        }

        bool IsNumberAfter() => change switch
        {
            "set" => kind == ValueKind.Int64,
            "set kind" => false,
            _ => true,
        };

        bool IsMadeObject() => !((DocumentPath)changed).TryGet(Document, out _) && change == "set";
    }

    private static bool IsPrefix(string[] left, string[] right) =>
        left.Length <= right.Length && left.AsSpan().SequenceEqual(right.AsSpan(0, left.Length));

    private static string[] Segments(string path) =>
        [.. path.Replace("[", ".[", StringComparison.Ordinal).Split('.', StringSplitOptions.RemoveEmptyEntries)];
}
