// The process that tests kill, stop, or run under strace: a verb each, and the tests that start it say what must happen.
// Started as `dotnet Cairn.Crashers.dll VERB ARGUMENTS`. Answers go to standard output, one per line, flushed at once; the exit
// code is 0 when the verb did what it is for, 1 when the engine said no with a typed error, 2 for a wrong command line.

using Cairn.Crashers;
using Cairn.Storage;

var verbs = new Dictionary<string, Action<string[]>>
{
    ["sync"] = StorageVerbs.Sync,
    ["change"] = StorageVerbs.Change,
    ["lock"] = StorageVerbs.Lock,
    ["write"] = EngineVerbs.Write,
    ["put"] = EngineVerbs.Put,
    ["hash"] = HookVerbs.Hash,
    ["hot"] = HookVerbs.Hot,
    ["die"] = HookVerbs.Die,
    ["full"] = EngineVerbs.Full,
    ["starved"] = EngineVerbs.Starved,
    ["patient"] = EngineVerbs.Patient,
    ["until-failed"] = EngineVerbs.UntilFailed,
    ["check"] = EngineVerbs.Check,
};

if (args.Length == 0 || !verbs.TryGetValue(args[0], out var verb))
{
    Console.Error.WriteLine($"usage: Cairn.Crashers {string.Join('|', verbs.Keys)} DIRECTORY ...");
    return 2;
}

try
{
    verb(args[1..]);
    return 0;
}
catch (StorageException failure)
{
    Console.WriteLine($"{failure.Error} errno={failure.Errno} operation={failure.Operation} detail={failure.Detail}");
    return 1;
}
