using System.CommandLine;
using System.Globalization;

namespace Cairn.Cli.Verbs;

/// <summary>Verbs about the whole database: <c>stat</c>, <c>verify</c>, <c>doctor</c>, <c>sync</c>, <c>metrics</c>.</summary>
internal static class DatabaseVerbs
{
    internal static Verb Stat()
    {
        var hash = new Option<bool>("--hash")
        {
            Description = "Also the state hash: SHA-256 of everything in the database. The same log gives the same hash, on every machine.",
        };
        var counts = new Option<bool>("--counts")
        {
            Description = "Also how many keys, state cells, events, traces and documents all runs have together. Looks at every run.",
        };
        return new("stat", "Says what the database holds and what opening it found: runs, sequence, log, memory, recovery.",
            "cairn stat --hash\ncairn stat --counts", Needs.ReadDatabase,
            call => Stat(call, call.Get(hash), call.Get(counts)), hash, counts);
    }

    // In the order of the primitives.
    private static List<(string Name, long Count)> Counts(Call call)
    {
        var (kv, state, events, traces, json) = (0L, 0L, 0L, 0L, 0L);
        foreach (var id in ReplayVerbs.AllRuns(call))
        {
            if (call.Database.Runs.Get(id) is not { } run)
                continue;                                    // deleted meanwhile
            kv += run.Kv.Count();
            state += run.State.Count();
            events += run.Events.Count();
            traces += run.Traces.Count();
            json += run.Json.Count();
        }

        return [("keys", kv), ("state_cells", state), ("events", events), ("traces", traces), ("documents", json)];
    }

    private static int Stat(Call call, bool withHash, bool withCounts)
    {
        var counts = withCounts ? Counts(call) : [];
        var (metrics, recovery) = (call.Database.Metrics, call.Database.Recovery);
        var hash = withHash ? call.Database.StateHash().ToString() : null;
        var json = Value.Object(
            ("state_hash", hash is null ? Value.Null : hash),
            ("counts", withCounts ? Value.Object([.. counts.Select(count => (count.Name, (Value)count.Count))]) : Value.Null),
            ("directory", call.Directory),
            ("read_only", call.Database.Options.IsReadOnly),
            ("runs", metrics.Runs),
            ("sequence", Failures.Number(call.Database.Sequence)),
            ("log_segments", metrics.LogSegments),
            ("log_bytes", metrics.LogBytesKept),
            ("archives", metrics.Archives),
            ("archive_bytes", metrics.ArchiveBytes),
            ("disk_free_bytes", metrics.DiskFreeBytes),
            ("disk_reserve_bytes", metrics.DiskReserveBytes),
            ("memory_bytes", metrics.MemoryBytes),
            ("memory_used_bytes", metrics.MemoryUsedBytes),
            ("memory_budget_bytes", metrics.MemoryBudgetBytes),
            ("runs_loaded", metrics.RunsLoaded),
            ("content_attached_bytes", metrics.ContentAttachedBytes),
            ("content_cached_bytes", metrics.ContentCachedBytes),
            ("pins", metrics.Pins),
            ("oldest_pin", metrics.OldestPin is { } pin ? Failures.Number(pin) : Value.Null),
            ("jobs", Value.Array(call.Database.Maintenance.Select(job => Value.Object(
                ("name", job.Name), ("runs", job.Runs), ("items", job.Items), ("backlog", job.Backlog), ("capacity", job.Capacity),
                ("utilisation", job.Utilisation))))),
            ("health", call.Database.Health.Status.ToString()),
            ("recovery", Json(recovery)));
        return call.Figures(json,
        [
            ("directory", call.Directory),
            ("runs", Show.Number(metrics.Runs)),
            .. counts.Select(count => (count.Name.Replace('_', ' '), Show.Number(count.Count))),
            ("sequence", call.Database.Sequence.ToString()),
            .. hash is null ? [] : new[] { ("state hash", hash) },
            ("log", $"{Show.Bytes(metrics.LogBytesKept)} in {Show.Number(metrics.LogSegments)} segment(s)"),
            .. metrics.Archives == 0 ? [] : new[]
            {
                ("archives", $"{Show.Bytes(metrics.ArchiveBytes)} in {Show.Number(metrics.Archives)} file(s)"),
            },
            ("memory", $"{Show.Bytes(metrics.MemoryUsedBytes)} of a budget of {Show.Bytes(metrics.MemoryBudgetBytes)}"),
            ("pins", Show.Number(metrics.Pins)),
            ("health", call.Database.Health.Status.ToString()),
            .. Lines(recovery),
        ]);
    }

    internal static Verb Metrics() => new(
        "metrics", "Prints every figure of this opening of the database, one per line.", "cairn metrics --json", Needs.ReadDatabase,
        call =>
        {
            var metrics = call.Database.Metrics;
            (string Name, Value Value)[] figures =
            [
                ("commits", metrics.Commits),
                ("log_bytes_kept", metrics.LogBytesKept),
                ("log_bytes_written", metrics.LogBytesWritten),
                ("log_groups", metrics.Groups),
                ("log_group_largest", metrics.LargestGroup),
                ("log_queued", metrics.QueuedCommits),
                ("archives", metrics.Archives),
                ("archive_bytes", metrics.ArchiveBytes),
                ("tables", metrics.Tables),
                ("table_bytes", metrics.TableBytes),
                ("tables_rebuilt", metrics.TablesRebuilt),
                ("merges", metrics.Merges),
                ("merge_bytes_written", metrics.MergeBytesWritten),
                ("compactions", metrics.Compactions),
                ("compaction_bytes_freed", metrics.CompactionBytesFreed),
                ("compaction_bytes_garbage", metrics.CompactionBytesGarbage),
                ("disk_free_bytes", metrics.DiskFreeBytes),
                ("disk_is_full", metrics.IsDiskFull),
                ("disk_reserve_bytes", metrics.DiskReserveBytes),
                ("jobs_failing", metrics.FailingJobs),
                ("jobs_stalled", metrics.StalledJobs),
                ("log_segments", metrics.LogSegments),
                ("log_syncs", metrics.Syncs),
                ("log_unsynced", metrics.UnsyncedCommits),
                ("memory_bytes", metrics.MemoryBytes),
                ("memory_used_bytes", metrics.MemoryUsedBytes),
                ("memory_budget_bytes", metrics.MemoryBudgetBytes),
                ("memory_waits", metrics.MemoryWaits),
                ("memory_refusals", metrics.MemoryRefusals),
                ("memory_keys_forgotten", metrics.KeysForgotten),
                ("memory_runs_emptied", metrics.RunsEmptied),
                ("memory_runs_unloaded", metrics.RunsUnloaded),
                ("runs_loaded", metrics.RunsLoaded),
                ("content_attached_bytes", metrics.ContentAttachedBytes),
                ("content_cached_bytes", metrics.ContentCachedBytes),
                ("content_hits", metrics.ContentHits),
                ("content_misses", metrics.ContentMisses),
                ("pins", metrics.Pins),
                ("oldest_pin", metrics.OldestPin is { } oldest ? Failures.Number(oldest) : Value.Null),
                ("runs", metrics.Runs),
                ("sequence_last", Failures.Number(metrics.LastSequence)),
                ("sequence_visible", Failures.Number(metrics.VisibleSequence)),
                ("sequence_durable", Failures.Number(metrics.DurableSequence)),
                ("blocks_cached_bytes", metrics.BlockCacheBytes),
                ("views", metrics.Views),
                ("views_bytes", metrics.ViewBytes),
                ("cursors_open", metrics.OpenCursors),
                ("transactions_open", metrics.OpenTransactions),
                ("transactions_retries", metrics.Retries),
                ("commit_latency", Json(metrics.CommitLatency)),
                ("read_latency", Json(metrics.ReadLatency)),
                ("latencies", Value.Object(metrics.Latencies.Where(pair => pair.Value.Count > 0)
                    .Select(pair => KeyValuePair.Create(pair.Key, Json(pair.Value))))),
                ("outcomes", Value.Object(metrics.Outcomes.Select(pair => KeyValuePair.Create(pair.Key, Value.Object(
                    ("ok", pair.Value.Ok), ("refused", pair.Value.Refused), ("conflict", pair.Value.Conflicts),
                    ("failed", pair.Value.Failed), ("bytes", pair.Value.Bytes)))))),
                ("files_damaged", metrics.DamagedFiles),
                ("system_events_lost", metrics.SystemEventsLost),
                ("operations", Value.Object(metrics.Operations.Select(pair => KeyValuePair.Create(pair.Key, (Value)pair.Value)))),
            ];
            return call.Figures(Value.Object(figures), figures.Select(figure => (figure.Name, figure.Value.ToJson())));
        });

    internal static Verb Sync() => new(
        "sync", "Makes everything that was committed durable. Each writing verb does so when it ends; this one proves that the device "
            + "takes it.",
        "cairn sync", Needs.WriteDatabase,
        call =>
        {
            call.Database.Sync();
            return call.Answer($"durable up to {call.Database.Sequence}", ("sequence", Failures.Number(call.Database.Sequence)));
        });

    internal static Verb Compact()
    {
        var dryRun = new Option<bool>("--dry-run") { Description = "Says what would be given up, and changes nothing." };
        return new("compact", "Gives up of the log what no policy of retention and no value needs; the rest of it moves into archives.",
            "cairn compact --dry-run", Needs.WriteDatabase, call => Compact(call, call.Get(dryRun)), dryRun);
    }

    private static int Compact(Call call, bool isPlan)
    {
        var bytes = call.Database.Metrics.LogBytesKept + call.Database.Metrics.ArchiveBytes;
        var report = call.Watched(isPlan ? "reading" : "compacting", bytes, progress => isPlan
            ? call.Database.PlanCompaction(progress)
            : call.Database.Compact(progress));
        return call.Figures(
            Value.Object(
                ("plan", report.IsPlan),
                ("bytes_read", report.BytesRead),
                ("bytes_needed", report.BytesNeeded),
                ("bytes_dropped", report.BytesDropped),
                ("bytes_written", report.BytesWritten),
                ("segments_dropped", report.SegmentsDropped),
                ("archives_replaced", report.ArchivesReplaced),
                ("table_bytes_freed", report.TableBytesFreed),
                ("held_by", (Value)report.HeldBy)),
            [
                ("looked through", Show.Bytes(report.BytesRead)),
                ("still needed", Show.Bytes(report.BytesNeeded)),
                (isPlan ? "would go" : "gone", $"{Show.Bytes(report.BytesDropped)}: {Show.Number(report.SegmentsDropped)} segment(s), "
                    + $"{Show.Number(report.ArchivesReplaced)} archive(s)"),
                (isPlan ? "would come" : "written", Show.Bytes(report.BytesWritten)),
                (isPlan ? "tables would give back" : "tables gave back", Show.Bytes(report.TableBytesFreed)),
                .. report.HeldBy is { } holder ? new[] { ("held by", holder) } : [],
            ]);
    }

    internal static Verb Rebuild() => new(
        "rebuild", "Reads every table whole and makes those that are damaged anew from the log. What the log no longer has is told: "
            + "exit code 6.",
        "cairn rebuild", Needs.WriteDatabase,
        call =>
        {
            var report = call.Watched(
                "reading tables", (progress, cancellationToken) => call.Database.Rebuild(progress, cancellationToken));
            call.Figures(
                Value.Object(
                    ("whole", report.IsWhole),
                    ("tables_read", report.TablesRead),
                    ("damaged", Value.Array(report.Damaged.Select(table => Value.Object(
                        ("file", table.File), ("damage", table.Damage), ("rebuilt_as", (Value)table.RebuiltAs),
                        ("hindrance", (Value)table.Hindrance)))))),
                [
                    ("tables", $"{Show.Number(report.TablesRead)} read, {Show.Number(report.Damaged.Count)} damaged"),
                    .. report.Damaged.Select(table => table.RebuiltAs is { } made
                        ? ("rebuilt", $"{table.File} as {made}: {table.Damage}")
                        : ("DAMAGED", $"{table.Damage} It cannot be rebuilt: {table.Hindrance} Restore a backup, or cairn salvage.")),
                ]);
            return report.IsWhole ? ExitCodes.Ok : ExitCodes.Damaged;
        });

    internal static Verb Checkpoint() => new(
        "checkpoint", "Writes what has changed since the last checkpoint beside the log, so that the next opening reads the log from here "
            + "on. Each writing verb does so when it ends; this one says what came of it.",
        "cairn checkpoint", Needs.WriteDatabase,
        call =>
        {
            if (call.Database.Checkpoint() is not { } made)
                return call.Answer("there is nothing to write", ("number", Value.Null));
            return call.Answer(
                $"checkpoint {made.Number} at {made.Sequence}: {Show.Number(made.Entries)} versions, {Show.Bytes(made.Bytes)}, in "
                    + Show.Duration(made.Duration),
                ("number", (long)made.Number),
                ("sequence", Failures.Number(made.Sequence)),
                ("entries", made.Entries),
                ("bytes", made.Bytes),
                ("duration_ms", Show.Milliseconds(made.Duration)));
        });

    internal static Verb Verify()
    {
        var deep = new Option<bool>("--deep")
        {
            Description = "Also apply the whole log anew and compare the state with it, and every count and order with the state; and "
                + "check the trees of documents and the items of indexes by their rules.",
        };
        var quick = new Option<bool>("--quick")
        {
            Description = "Only whether every file is there, with its length and its header.",
        };
        return new("verify", "Reads the whole log again and checks every record, then the event chain of every run. Damage: exit code 6, "
            + "with file and offset.",
            "cairn verify --deep", Needs.ReadDatabase,
            call =>
            {
                if (call.Get(deep) && call.Get(quick))
                    throw new UsageException("--quick and --deep contradict each other.");
                return call.Get(quick) ? VerifyQuickly(call) : Verify(call, call.Get(deep));
            },
            deep, quick);
    }

    private static int VerifyQuickly(Call call)
    {
        var found = call.Database.Verify(VerificationDepth.Quick);
        call.Figures(
            Value.Object(("valid", found.IsValid), ("depth", "quick"), ("findings", Json(found.Findings))),
            found.IsValid
                ? [("files", "all are there, with their lengths and headers")]
                : [.. found.Findings.Select(finding => (finding.Part, $"WRONG: {finding.Text}")), ("what to do", Remedy(found.Findings))]);
        return found.IsValid ? ExitCodes.Ok : ExitCodes.Damaged;
    }

    // Tables are made from the log; nothing else is made from anything.
    private static string Remedy(IReadOnlyList<VerificationFinding> findings) =>
        findings.Count > 0 && findings.All(finding => finding.Text.StartsWith("tables/", StringComparison.Ordinal))
            ? "Only tables are damaged: cairn rebuild makes them anew from the log, if it still has what was in them."
            : "Restore a backup, or salvage what is readable: cairn salvage.";

    private static Value Json(IEnumerable<VerificationFinding> findings) => Value.Array(findings.Select(finding =>
        Value.Object(("part", finding.Part), ("text", finding.Text))));

    private static int Verify(Call call, bool isDeep)
    {
        // Opening has read and checked what lies behind the checkpoint; a database that is damaged there does not get past it.
        var found = call.Watched("reading the log", call.Database.Metrics.LogBytesKept, call.Database.VerifyLog);
        var chains = EventChains.Verify(call.Database).ToList();
        var broken = chains.Find(chain => !chain.IsValid);
        var deep = call.Watched("verifying", (progress, cancellationToken) =>
            call.Database.Verify(isDeep ? VerificationDepth.Deep : VerificationDepth.Full, progress, cancellationToken));
        var isValid = found.IsValid && broken is null && deep.IsValid;
        var json = Value.Object(
            ("valid", isValid),
            ("state_hash", isDeep ? deep.StateHash.ToString() : Value.Null),
            ("findings", Json(deep.Findings)),
            ("segments", found.Segments),
            ("records", found.Records),
            ("transactions", found.Transactions),
            ("bytes", found.Bytes),
            ("damage", found.Damage is { } damage
                ? Value.Object(("file", damage.File), ("offset", damage.Offset), ("sequence", Failures.Number(damage.Sequence)),
                    ("expected", damage.Expected))
                : Value.Null),
            ("chains", Value.Array(chains.Select(chain => chain.ToValue()))),
            ("recovery", Json(call.Database.Recovery)));
        call.Figures(json,
        [
            ("log", found.Damage is { } wrong
                ? $"DAMAGED: {wrong.File} at offset {wrong.Offset}, behind sequence {wrong.Sequence.Value}: {wrong.Expected}"
                : $"{Show.Number(found.Records)} records in {Show.Number(found.Segments)} segment(s), {Show.Bytes(found.Bytes)}: "
                    + "every check is right"),
            ("transactions", Show.Number(found.Transactions)),
            .. chains.Select(chain => ("events", chain.Text)),
            .. isDeep && deep.IsValid ? new[] { ("state", $"is what the log gives: {deep.StateHash}") } : [],
            .. deep.Findings.Select(finding => (finding.Part, $"WRONG: {finding.Text}")),
            .. isValid ? [] : new[] { ("what to do", Remedy(found.Damage is null && broken is null ? deep.Findings : [])) },
            .. Lines(call.Database.Recovery),
        ]);
        return isValid ? ExitCodes.Ok : ExitCodes.Damaged;
    }

    internal static Verb Doctor() => new(
        "doctor",
        "Looks at the directory, its owner, its disk, its format, its limits and what keeps the past, and says what to do. Exit code 1 "
            + "when something fails.",
        "cairn doctor --db ./memory", Needs.Directory,
        call =>
        {
            var lines = Examine(call).ToList();
            call.List(
                lines,
                line => [("check", line.Check), ("result", line.Result), ("text", line.Text), ("advice", line.Advice)],
                new Column<Diagnosis>("", line => line.Result),
                new Column<Diagnosis>("check", line => line.Check),
                new Column<Diagnosis>("found", line => line.Text),
                new Column<Diagnosis>("what to do", line => line.Advice));
            return lines.Exists(line => line.Result == Diagnosis.Fail) ? ExitCodes.Negative : ExitCodes.Ok;
        });

    private static IEnumerable<Diagnosis> Examine(Call call)
    {
        const long enough = 1L << 30;
        var report = CairnDatabase.Inspect(call.Directory);
        if (!report.Exists)
        {
            yield return new("directory", Diagnosis.Fail, report.Problems.Count > 0 ? report.Problems[0].Message : "is not there",
                "Name it with --db; a writing verb makes it: cairn kv put hello world");
            yield break;
        }

        yield return new("directory", Diagnosis.Ok, Path.GetFullPath(call.Directory), "");
        if (!report.IsDatabase)
        {
            yield return report.Foreign.Count == 0
                ? new("database", Diagnosis.Warn, "empty", "A writing verb makes a database here: cairn kv put hello world")
                : new("database", Diagnosis.Fail, $"holds '{report.Foreign[0]}' and no database", "Give another directory with --db.");
            yield break;
        }

        yield return report.Format is { } format
            ? new("format", Diagnosis.Ok, $"format {format}", "")
            : new("format", Diagnosis.Fail, report.Problems.Count > 0 ? report.Problems[0].Message : "unreadable",
                "Open it with a newer cairn, or restore a backup.");
        if (report.Foreign.Count > 0)
            yield return new("files", Diagnosis.Warn, $"'{report.Foreign[0]}' does not belong here ({report.Foreign.Count} such)",
                "Move it away; the database does not read it.");
        yield return report.Owner is { } owner
            ? new("owner", Diagnosis.Warn, owner, "Close that process before you open the database here.")
            : new("owner", Diagnosis.Ok, "nobody", "");
        if (report.FreeBytes is { } free)
        {
            yield return free >= enough
                ? new("space", Diagnosis.Ok, $"{Show.Bytes(free)} free", "")
                : new("space", Diagnosis.Warn, $"{Show.Bytes(free)} free", "Free some: a full disk stops writing.");
        }

        if (report.Owner is null)
        {
            yield return report.IsWritable
                ? new("permissions", Diagnosis.Ok, "files can be made and removed", "")
                : new("permissions", Diagnosis.Fail, report.Problems.Count > 0 ? report.Problems[^1].Message : "cannot be written",
                    "Make the directory writable for this user.");
        }

        if (report.SyncTime is { } time)
        {
            yield return !report.SyncErrorsAreReported
                ? new("sync", Diagnosis.Warn, Show.Duration(time), "This platform hides sync errors: use 64-bit Linux where data matters.")
                : time.TotalMilliseconds < 0.02
                    ? new("sync", Diagnosis.Warn, $"{Show.Duration(time)}: too fast for a device",
                        "A disk that ignores flush loses data at power loss.")
                    : new("sync", Diagnosis.Ok, $"4 KiB in {Show.Duration(time)}", "");
        }

        yield return new("memory", Diagnosis.Ok, $"a database may hold {Show.Bytes(CairnOptions.MemoryBudgetDefault)}", "");
        yield return report.WasClosedCleanly switch
        {
            true => new("closed", Diagnosis.Ok, "cleanly", ""),
            false => new("closed", report.Owner is null ? Diagnosis.Warn : Diagnosis.Ok, report.Owner is null ? "not cleanly" : "in use",
                report.Owner is null ? "The next opening recovers by itself: cairn stat" : ""),
            null => new("closed", Diagnosis.Warn, "unknown", "Read the line above about the format."),
        };
        if (report.QuarantinedFiles > 0)
        {
            yield return new("quarantine", Diagnosis.Warn, $"{Show.Number(report.QuarantinedFiles)} file(s) that recoveries cut off",
                "Read the .report beside each, then move them away; the database does not need them.");
        }

        if (report.CommitTime is { } newest)
        {
            yield return newest <= DateTimeOffset.UtcNow + ClockTolerance
                ? new("clock", Diagnosis.Ok, $"the newest commit that is told of is of {Show.Time(newest)}", "")
                : new("clock", Diagnosis.Warn, $"a commit is of {Show.Time(newest)}, which is yet to come",
                    "Look at this machine's clock: until then commits have that time, and what expires waits for it.");
        }

        if (report.Owner is null && report.Format is not null && report.WasClosedCleanly == true)
        {
            foreach (var line in Contents(call))
                yield return line;
        }
    }

    private static List<Diagnosis> Contents(Call call)
    {
        try
        {
            using var database = CairnDatabase.Open(call.Directory, new CairnOptions { IsReadOnly = true });
            var lines = new List<Diagnosis>
            {
                new("contents", Diagnosis.Ok, $"{Show.Number(database.Recovery.Records)} records, every check is right", ""),
            };
            lines.AddRange(database.Verify(VerificationDepth.Quick).Findings.Select(finding =>
                new Diagnosis(finding.Part, Diagnosis.Fail, finding.Text, Remedy([finding]))));
            lines.AddRange(database.Recovery.CheckpointsRejected.Select(rejected =>
                new Diagnosis("checkpoint", Diagnosis.Warn, rejected,
                    "The one before it, or the log, serves; the next opening for writing makes a new one.")));
            var orphaned = database.Recovery.OrphanedRuns.Count;
            if (orphaned > 0)
            {
                lines.Add(new("runs", Diagnosis.Warn, $"{Show.Number(orphaned)} run(s) that a crash left active",
                    "Look at them and adopt or abort each: cairn run orphaned"));
            }

            lines.AddRange(Capacity(database));
            return lines;
        }
        catch (CairnException failure)
        {
            return [new("contents", Diagnosis.Fail, failure.Message, "Restore a backup, or salvage what is readable: cairn salvage.")];
        }
    }

    // Runs are loaded to be looked at: so many, and no more.
    private const int RunsExamined = 1_000;

    private static IEnumerable<Diagnosis> Capacity(CairnDatabase database)
    {
        var runs = database.Metrics.Runs;
        List<Run> loaded = [.. database.Runs.List(new RunFilter { Limit = RunsExamined }).Select(run => database.Runs.Get(run.Id)!)];
        var capacity = database.Capacity();
        var fullest = loaded.Append(database.Default).Select(run => (run.Id, Keys: run.Kv.Count())).MaxBy(run => run.Keys);
        GC.KeepAlive(loaded);
        yield return new("runs", Diagnosis.Ok,
            $"{Show.Number(runs)}, of which {Show.Number(capacity.RunsExamined)} were looked at; most keys has {fullest.Id}: "
                + $"{Show.Number(fullest.Keys)}", "");
        foreach (var limit in capacity.Limits.Where(limit => limit.IsNearEnd))
            yield return new("limit", Diagnosis.Warn, Text(limit), limit.Remedy);
        var next = capacity.Limits.FirstOrDefault(limit => !limit.IsNearEnd);
        if (next is not null)
            yield return new("limits", Diagnosis.Ok, $"of {capacity.Limits.Count}, the fullest that is not near its end: {Text(next)}", "");
        foreach (var hold in capacity.Holds)
        {
            yield return new("past", Diagnosis.Ok,
                $"{hold.Holder} keeps it from sequence {hold.Sequence.Value} on: {Show.Bytes(hold.KeptBytes)}"
                    + (hold.Age is { } age ? $", {Show.Duration(age)} old" : ""), "");
        }
    }

    private static string Text(CapacityLimit limit) => string.Create(
        CultureInfo.InvariantCulture,
        $"{limit.Name}: {limit.Share * 100:0.#} % used, {limit.Used:N0} of {limit.Allowed:N0} {limit.Unit}"
            + $"{(limit.Run is { } run ? $", in run {run}" : "")}");

    /// <summary>What two clocks may differ by.</summary>
    private static readonly TimeSpan ClockTolerance = TimeSpan.FromMinutes(1);

    private static Value Json(LatencySummary summary) => Value.Object(
        ("count", summary.Count),
        ("p50_ms", Show.Milliseconds(summary.P50)),
        ("p95_ms", Show.Milliseconds(summary.P95)),
        ("p99_ms", Show.Milliseconds(summary.P99)),
        ("p999_ms", Show.Milliseconds(summary.P999)),
        ("max_ms", Show.Milliseconds(summary.Max)));

    internal static Value Json(RecoveryReport recovery) => Value.Object(
        ("new", recovery.IsNew),
        ("closed_cleanly", recovery.WasClosedCleanly),
        ("epoch", (long)recovery.Epoch),
        ("checkpoint_used", recovery.CheckpointUsed is { } used ? Failures.Number(used) : Value.Null),
        ("checkpoints_rejected", Strings(recovery.CheckpointsRejected)),
        ("segments", recovery.Segments),
        ("records", recovery.Records),
        ("bytes", recovery.Bytes),
        ("transactions", recovery.Transactions),
        ("last_sequence", Failures.Number(recovery.LastSequence)),
        ("cut", recovery.Cut is { } cut
            ? Value.Object(("file", cut.File), ("offset", cut.Offset), ("bytes", cut.Bytes), ("reason", cut.Reason))
            : Value.Null),
        ("copied_records", recovery.CopiedRecords),
        ("quarantined", Strings(recovery.Quarantined)),
        ("orphaned_runs", Strings(recovery.OrphanedRuns.Select(run => run.ToString()))),
        ("warnings", Strings(recovery.Warnings)),
        ("phases",
            Value.Array(recovery.Phases.Select(phase => Value.Object(("name", phase.Name),
            ("duration_ms", Show.Milliseconds(phase.Duration)))))),
        ("duration_ms", Show.Milliseconds(recovery.Duration)));

    private static IEnumerable<(string Name, string Text)> Lines(RecoveryReport recovery)
    {
        yield return ("opening", string.Create(CultureInfo.InvariantCulture,
            $"number {recovery.Epoch}, the one before ended {(recovery.WasClosedCleanly ? "cleanly" : "without a clean close")}"));
        yield return ("recovery",
            $"{Show.Number(recovery.Transactions)} transactions from {Show.Number(recovery.Records)} records, "
                + $"{Show.Bytes(recovery.Bytes)}, in {Show.Duration(recovery.Duration)}");
        if (recovery.CheckpointUsed is { } used)
            yield return ("checkpoint", $"begun with, at {used}");
        if (recovery.Cut is { } cut)
            yield return ("cut",
                $"{cut.File} at offset {cut.Offset}: {Show.Number(cut.Bytes)} bytes that were never acknowledged ({cut.Reason}), "
                    + "kept in quarantine");
        if (recovery.CopiedRecords > 0)
            yield return ("copied", $"{Show.Number(recovery.CopiedRecords)} records at the end were written again");
        foreach (var item in recovery.Quarantined)
            yield return ("quarantined", item);
        foreach (var run in recovery.OrphanedRuns)
            yield return ("orphaned", run.ToString());
        foreach (var warning in recovery.Warnings)
            yield return ("warning", warning);
    }

    private static Value Strings(IEnumerable<string> texts) => Value.Array(texts.Select(text => (Value)text));

    private sealed record Diagnosis(string Check, string Result, string Text, string Advice)
    {
        internal const string Ok = "ok";
        internal const string Warn = "warn";
        internal const string Fail = "fail";
    }
}
