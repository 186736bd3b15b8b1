// One plan, and many who work on it at once.
//
//      plan       every step of four recorded agents, as one document
//      writers    64 of them, Strict, round by round. In a round all transactions begin before the first commits, so that each has read a
//                 plan that 63 others change meanwhile; each reviews a step: reads what was done there, writes its own verdict, appends a
//                 line to the one list of reviews and adds to the one number of them
//      conflict   two that claim one step: what the later one is told, who it was, and that it goes on by itself with another step
//      query      JSONPath over the plan, compared with what the recordings hold; it reads the document, and no index
//      index      the steps as many small documents, some hundred attempts of each; a filter asked for without an index and with one,
//                 what each way read, and that both find what the recordings hold; a unique index, and what it refuses
//      again      the directory opened again: every review is there, the list has all of them and the number is right; the index is
//                 ready, and finds the same
//
// Every figure that is shown was measured in this very execution. If anything is not as it should be, the exit code is 6.

using System.Diagnostics;
using System.Text;
using Cairn.Cli.SweAgent;

namespace Cairn.Cli.Demonstration;

/// <summary>Runs the demo; see the essay above. <see cref="DocumentsDemoPage"/> shows it.</summary>
internal sealed class DocumentsDemo(string directory)
{
    internal const int Writers = 64;
    internal const int Rounds = 4;
    internal const string Id = "plan";

    /// <summary>The steps that some writer found to change files, and that are about a test or a reproduction.</summary>
    internal const string Query = "$.steps[?@.reviews[?@.verdict == 'changes'] && search(@.action, 'test|reproduce')].action";

    /// <summary>Small documents, each an attempt at a step.</summary>
    internal const int Attempts = 20_000;

    internal const string Filter = "tool = 'submit' and attempt < 3";
    internal const string Index = "tool";
    internal const string UniqueIndex = "place";

    internal static readonly string[] FileNames =
    [
        "marshmallow-1867-default.traj", "marshmallow-1867-function-calling.traj", "marshmallow-1867-xml.traj", "pydicom-1458.traj",
    ];

    private const int LookMilliseconds = 5;

    // What an agent of the recordings changes files with.
    private static readonly string[] ChangingTools = ["create", "edit", "insert", "rm", "str_replace_editor"];

    private readonly List<(string Agent, TrajectoryStep Step)> _steps =
    [
        .. FileNames.Select(name => Trajectory.Read(Demo.SamplePath(name)))
            .SelectMany(source => source.Steps.Select(step => (source.Name, step))),
    ];

    internal int Steps => _steps.Count;

    private static DocumentPath StepPath(int step) => DocumentPath.Root.Member("steps").Element(step);

    private static string NameOf(int writer) => $"writer-{writer:00}";

    private static string VerdictOn(string action) => ChangingTools.Contains(TrajectoryStep.ToolOf(action)) ? "changes" : "looks";

    // Some step of its own for every writer of a round, as far as there are steps; several writers share one.
    private int StepOf(int writer, int round) => (writer + round * 7) % _steps.Count;

    /// <summary>Writes the plan.</summary>
    internal Planned Plan(CairnDatabase database)
    {
        var began = Stopwatch.GetTimestamp();
        var plan = Value.Object(
            ("title", "review what four agents did"),
            ("reviews", Value.Array()),
            ("reviewed", 0),
            ("steps", Value.Array(_steps.Select(step => Value.Object(
                ("agent", step.Agent), ("action", step.Step.Action), ("thought", step.Step.Thought), ("reviews", Value.Object()))))));
        database.Default.Json.Put(Id, plan);
        return new Planned(_steps.Count, BytesOf(plan), Stopwatch.GetElapsedTime(began));
    }

    /// <summary>All writers at once, round by round.</summary>
    internal Edited Edit(CairnDatabase database)
    {
        var before = database.Sequence;
        var began = Stopwatch.GetTimestamp();
        var conflicts = 0;
        for (var round = 0; round < Rounds; round++)
        {
            var transactions = Enumerable.Range(0, Writers)
                .Select(writer => database.Default.BeginTransaction(By(NameOf(writer)))).ToList();
            var failures = new Exception?[Writers];
            var threads = Enumerable.Range(0, Writers).Select(writer => new Thread(() =>
            {
                try
                {
                    Review(transactions[writer], writer, StepOf(writer, round), round);
                    transactions[writer].Commit();
                }
                catch (Exception failure)
                {
                    failures[writer] = failure;
                }
                finally
                {
                    transactions[writer].Dispose();
                }
            })).ToList();
            threads.ForEach(thread => thread.Start());
            threads.ForEach(thread => thread.Join());
            conflicts += failures.Count(failure => failure is ConflictException);
            if (Array.Find(failures, failure => failure is not null and not ConflictException) is { } unexpected)
                throw unexpected;
        }

        var time = Stopwatch.GetElapsedTime(began);
        var records = database.ReadLog(new Sequence(before.Value + 1)).Where(record => record.Operations.Count > 0)
            .Select(record => record.PayloadBytes).ToList();
        return new Edited(
            (int)(database.Sequence.Value - before.Value), conflicts, (int)records.Average(), BytesOf(database.Default.Json.Get(Id)!.Value),
            time);
    }

    private static void Review(Transaction transaction, int writer, int step, int round)
    {
        var action = transaction.Json.Get(Id, StepPath(step).Member("action"))!.Value.AsString();
        transaction.Json.Set(Id, StepPath(step).Member("reviews").Member($"{NameOf(writer)}/{round}"), Value.Object(
            ("verdict", VerdictOn(action)), ("words", action.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Length)));
        transaction.Json.ArrayAppend(Id, "$.reviews", Value.Object(("by", NameOf(writer)), ("round", round), ("step", step)));
        transaction.Json.Add(Id, "$.reviewed", 1);
    }

    /// <summary>Two writers claim the same step; the later one is told, and takes the next.</summary>
    internal Claimed Claim(CairnDatabase database)
    {
        var began = Stopwatch.GetTimestamp();
        var run = database.Default;
        const int Step = 3;
        var place = StepPath(Step).Member("owner");
        ConflictException? conflict = null;
        using (var first = run.BeginTransaction(By(NameOf(1))))
        using (var second = run.BeginTransaction(By(NameOf(2))))
        {
            Take(first, Step, NameOf(1));
            Take(second, Step, NameOf(2));
            first.Commit();
            try
            {
                second.Commit();
            }
            catch (ConflictException refused)
            {
                conflict = refused;
            }
        }

        var changedBy = run.Blame(Id, place)?.Attributes.Actor;
        var taken = run.Transact(transaction => Take(transaction, Step, NameOf(2)), By(NameOf(2)));
        return new Claimed(
            Step, NameOf(1), NameOf(2), conflict, changedBy, run.Json.Get(Id, place)?.AsString(), taken,
            Stopwatch.GetElapsedTime(began));
    }

    // The first step from there on that nobody has.
    private static int Take(Transaction transaction, int step, string who)
    {
        while (transaction.Json.Exists(Id, StepPath(step).Member("owner")))
            step++;
        transaction.Json.Set(Id, StepPath(step).Member("owner"), who);
        return step;
    }

    /// <summary>Asks the plan.</summary>
    internal Asked Ask(CairnDatabase database)
    {
        var query = JsonPath.Parse(Query);
        var began = Stopwatch.GetTimestamp();
        var found = database.Default.Json.Query(Id, query)!;
        var time = Stopwatch.GetElapsedTime(began);
        var reviewed = Enumerable.Range(0, Rounds)
            .SelectMany(round => Enumerable.Range(0, Writers).Select(writer => StepOf(writer, round))).ToHashSet();
        var expected = _steps.Index()
            .Where(step => reviewed.Contains(step.Index) && VerdictOn(step.Item.Step.Action) == "changes"
                && (step.Item.Step.Action.Contains("test", StringComparison.Ordinal)
                    || step.Item.Step.Action.Contains("reproduce", StringComparison.Ordinal)))
            .Select(step => StepPath(step.Index).Member("action").ToString());
        return new Asked(
            [.. found.Select(match => (match.ToString(), match.Value.AsString()))],
            expected.SequenceEqual(found.Select(match => match.ToString())), time);
    }

    /// <summary>Writes many small documents and asks them without an index and with one.</summary>
    internal Indexed AskMany(CairnDatabase database)
    {
        var run = database.Default;
        var began = Stopwatch.GetTimestamp();
        foreach (var some in Enumerable.Range(0, Attempts).Chunk(database.Limits.ManyItemsMax))
            run.Json.PutMany([.. some.Select(n => KeyValuePair.Create(IdOf(n), AttemptOf(n)))]);
        var written = Stopwatch.GetElapsedTime(began);
        var without = Find(database);

        began = Stopwatch.GetTimestamp();
        run.Indexes.Define(Index, new IndexDefinition { Target = IndexTarget.Documents, Paths = ["$.tool", "$.attempt"] });
        while (run.Indexes.Get(Index) is { State: IndexState.Building })
            Thread.Sleep(LookMilliseconds);
        var built = Stopwatch.GetElapsedTime(began);
        var items = run.Indexes.Get(Index)!.Items;
        var with = Find(database);
        return new Indexed(written, without, built, items, with, without.Ids.SequenceEqual(Expected) && with.Ids.SequenceEqual(Expected));
    }

    // What the filter asks, of the recordings themselves.
    private IEnumerable<string> Expected => Enumerable.Range(0, Attempts)
        .Where(n => _steps[n % _steps.Count].Step.Tool == "submit" && n / _steps.Count < 3).Select(IdOf);

    private static string IdOf(int attempt) => $"attempt/{attempt:00000}";

    private Value AttemptOf(int n)
    {
        var (agent, step) = _steps[n % _steps.Count];
        return Value.Object(
            ("agent", agent), ("step", n % _steps.Count), ("attempt", n / _steps.Count), ("tool", step.Tool),
            ("words", step.Thought.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Length));
    }

    private static Found Find(CairnDatabase database)
    {
        var (filter, page) = (Cairn.Filter.Parse(Filter), new QueryOptions { Limit = database.Limits.PageSizeMax });
        var plan = database.Default.Json.Explain(filter, page);
        var began = Stopwatch.GetTimestamp();
        var found = database.Default.Json.Query(filter, page);
        return new Found([.. found.Select(pair => pair.Key)], plan, Stopwatch.GetElapsedTime(began));
    }

    /// <summary>A unique index: one document of each step and attempt. A second one is refused, and nothing is written.</summary>
    internal Refused Refuse(CairnDatabase database)
    {
        const int Taken = 10;
        var run = database.Default;
        var began = Stopwatch.GetTimestamp();
        run.Indexes.Define(
            UniqueIndex, new IndexDefinition { Target = IndexTarget.Documents, Paths = ["$.step", "$.attempt"], IsUnique = true });
        var built = Stopwatch.GetElapsedTime(began);
        try
        {
            run.Json.Put("another", AttemptOf(Taken));
            return new Refused(built, null, IdOf(Taken), run.Json.Exists("another"));
        }
        catch (CairnException refused) when (refused.Code == ErrorCode.ConstraintViolation)
        {
            return new Refused(built, refused.Message, IdOf(Taken), run.Json.Exists("another"));
        }
    }

    /// <summary>Opens the directory again and compares the plan with what the writers must have made of it.</summary>
    internal OpenedAgain OpenAgain()
    {
        var began = Stopwatch.GetTimestamp();
        using var database = CairnDatabase.Open(directory, new CairnOptions { IsReadOnly = true });
        var plan = database.Default.Json.Get(Id)!.Value;
        var listed = plan["reviews"].AsArray()
            .Select(review => (By: review["by"].AsString(), Round: (int)review["round"].AsInt64(), Step: (int)review["step"].AsInt64()))
            .ToList();
        var difference = Enumerable.Range(0, Rounds)
            .SelectMany(round => Enumerable.Range(0, Writers)
                .Select(writer => (By: NameOf(writer), Round: round, Step: StepOf(writer, round))))
            .Where(review => !listed.Contains(review)
                || !plan["steps"][review.Step]["reviews"].TryGetMember($"{review.By}/{review.Round}", out _))
            .Select(review => $"the review of step {review.Step} by {review.By} in round {review.Round} is missing")
            .FirstOrDefault();
        if (listed.Count != Writers * Rounds || plan["reviewed"].AsInt64() != Writers * Rounds)
            difference ??= $"the list has {listed.Count} reviews and the number says {plan["reviewed"].AsInt64()}";
        var indexed = Find(database);
        if (!indexed.IsBy(Index) || !indexed.Ids.SequenceEqual(Expected))
            difference ??= $"the index '{Index}' finds {indexed.Ids.Count} documents, by the plan {indexed.Plan.Kind}";
        return new OpenedAgain(listed.Count, difference, database.VerifyLog(), Stopwatch.GetElapsedTime(began));
    }

    private static TransactionOptions By(string who) =>
        new() { Commit = new CommitOptions { Attributes = new CommitAttributes { Actor = who } } };

    private static int BytesOf(Value document) => Encoding.UTF8.GetByteCount(document.ToJson());
}

/// <summary>The plan as it was written.</summary>
/// <param name="Bytes">Of its JSON.</param>
internal sealed record Planned(int Steps, int Bytes, TimeSpan Time);

/// <summary>What the writers did.</summary>
/// <param name="RecordBytes">Of the payload of a commit in the log, on average.</param>
/// <param name="Bytes">Of the JSON of the plan that they left.</param>
internal sealed record Edited(int Commits, int Conflicts, int RecordBytes, int Bytes, TimeSpan Time)
{
    internal bool IsWhole => Conflicts == 0 && Commits == DocumentsDemo.Writers * DocumentsDemo.Rounds;
}

/// <summary>Two writers at one place.</summary>
/// <param name="Conflict">What the later one was told.</param>
/// <param name="ChangedBy">Who wrote the place, as its commit says.</param>
/// <param name="Owner">Who has it.</param>
/// <param name="Taken">The step that the later one has instead.</param>
internal sealed record Claimed(
    int Step, string First, string Second, ConflictException? Conflict, string? ChangedBy, string? Owner, int Taken, TimeSpan Time)
{
    internal bool IsTold => Conflict is { Primitive: "json", Key: DocumentsDemo.Id } && ChangedBy == First && Owner == First
        && Taken == Step + 1;
}

/// <summary>What the query found.</summary>
/// <param name="IsRight">It is what the recordings hold.</param>
internal sealed record Asked(IReadOnlyList<(string Path, string Action)> Found, bool IsRight, TimeSpan Time);

/// <summary>What a filter found.</summary>
/// <param name="Plan">How, told by the database.</param>
internal sealed record Found(IReadOnlyList<string> Ids, QueryPlan Plan, TimeSpan Time)
{
    internal bool IsBy(string index) => Plan.Kind == QueryPlanKind.Index && Plan.Indexes.SequenceEqual([index]);
}

/// <summary>Many documents, asked twice.</summary>
/// <param name="Written">How long writing them took.</param>
/// <param name="Built">How long the index took, from its definition until it was ready.</param>
/// <param name="Items">In it.</param>
/// <param name="IsSame">Both times it was what the recordings hold.</param>
internal sealed record Indexed(TimeSpan Written, Found Without, TimeSpan Built, long Items, Found With, bool IsSame)
{
    internal bool IsGood => IsSame && Without.Plan.Kind == QueryPlanKind.Scan && Without.Plan.ThingsRead > DocumentsDemo.Attempts
        && With.IsBy(DocumentsDemo.Index) && With.Plan.ThingsRead == With.Ids.Count;
}

/// <summary>A document that a unique index does not let in.</summary>
/// <param name="Message">What the writer was told; null = it was let in.</param>
/// <param name="Holder">Who has the value.</param>
/// <param name="IsThere">It was written nevertheless.</param>
internal sealed record Refused(TimeSpan Built, string? Message, string Holder, bool IsThere)
{
    internal bool IsGood => !IsThere && Message?.Contains(Holder, StringComparison.Ordinal) == true;
}

/// <summary>The plan after another opening.</summary>
/// <param name="Difference">The first thing that is not as it must be; null = none.</param>
internal sealed record OpenedAgain(int Reviews, string? Difference, LogVerification Log, TimeSpan Time)
{
    internal bool IsGood => Difference is null && Log.IsValid;
}
