using Mono.Cecil;
using Xunit;

namespace Cairn.Tests.Tidy;

/// <summary>A room may name only rooms before it. Read from the compiled references, since C# searches the parent namespace and
/// "Storage.IStorage" needs no using.</summary>
public class FolderOrderTests
{
    private static readonly Dictionary<string, int> Ranks = new(StringComparer.Ordinal)
    {
        ["Diagnostics"] = 0,
        ["Codec"] = 1,
        ["Storage"] = 2,
        ["Documents"] = 2,
        ["Log"] = 3,
        ["Content"] = 4,
        ["Tables"] = 5,
        ["Store"] = 6,
        ["Checkpoints"] = 7,
        ["Transactions"] = 8,
        ["Primitives"] = 9,
        ["Text"] = 10,
        ["Vectors"] = 10,
        ["Graph"] = 10,
        ["Search"] = 11,
        ["Replay"] = 11,
        ["Feed"] = 11,
        ["Recovery"] = 12,
        ["Maintenance"] = 12,
        ["Transfer"] = 13,
    };

    // What has identity or wires the rooms together: for the root alone.
    private static readonly HashSet<string> Handles = new(StringComparer.Ordinal)
    {
        "CairnDatabase", "Engine", "EngineHooks", "Run", "Runs", "Transaction", "TransactionRun", "Snapshot", "RunView",
        "Kv", "KvView", "Events", "EventsView", "State", "StateView", "Traces", "TracesView", "Json", "JsonView", "RunsView",
        "EventConsumers", "EventConsumersView", "Subscriptions", "Triggers", "Indexes", "RunTextIndex",
        "VectorCollections", "VectorCollection", "ConceptGraph", "ConceptGraphView",
    };

    // Root types without identity that are neither enums, structs, records nor exceptions.
    private static readonly HashSet<string> Values = new(StringComparer.Ordinal)
    {
        "CommitClock", "RandomSource", "StorageFailures", "OptionRules", "Page`1", "EventRecord",
        "DocumentPath", "JsonPatch", "JsonPatchOperation", "Filter", "FilterPath", "FilterItem", "TextAnalysis",
    };

    [Fact]
    public void A_room_names_only_rooms_before_it()
    {
        var breaches = new List<string>();
        foreach (var type in Assemblies.Engine.Types.Where(type => RoomOf(type) is not ("" or null)))
        {
            var room = RoomOf(type)!;
            foreach (var named in Assemblies.Named(type))
            {
                var other = RoomOf(named)!;
                if (other == room || (other.Length > 0 && Ranks[other] < Ranks[room]))
                    continue;
                if (other.Length > 0)
                    breaches.Add($"{type.FullName} names {named.FullName}");
                else if (!IsValue(named.Resolve()))
                    breaches.Add($"{type.FullName} names the root's {named.Name}, which is not a value");
            }
        }

        Repository.Refuse(
            breaches.Order(StringComparer.Ordinal), "A room may name only rooms before it (ARCHITECTURE.md), and values of the root:");
    }

    // A reader of references that sees nothing would find no breach.
    [Fact]
    public void The_reader_sees_fields_calls_and_what_lambdas_name()
    {
        string[] expected =
        [
            "Cairn.Log.LogWriter", "Cairn.Store.Catalogue", "Cairn.CommitClock", "Cairn.Diagnostics.Mutant", "Cairn.Limits",
        ];
        Assert.Empty(expected.Except(NamesIn("Cairn.Transactions.CommitPath")));
        Assert.Contains("Cairn.Transactions.CommitPath", NamesIn("Cairn.Run"));
    }

    private static IEnumerable<string> NamesIn(string type) =>
        Assemblies.Named(Assemblies.Engine.GetType(type)).Select(named => named.FullName);

    [Fact]
    public void Every_namespace_is_a_known_room()
    {
        var unknown = Assemblies.Engine.Types
            .Where(type => type.Namespace.StartsWith("Cairn.", StringComparison.Ordinal) && !Ranks.ContainsKey(RoomOf(type)!))
            .Select(type => type.FullName);
        Repository.Refuse(unknown, "A new room needs its place in the order of FolderOrderTests and in ARCHITECTURE.md:");
    }

    [Fact]
    public void Only_the_root_is_public()
    {
        var open = Assemblies.Engine.Types.Where(type => type.IsPublic && type.Namespace != "Cairn").Select(type => type.FullName);
        Repository.Refuse(open, "The public surface is the root folder; these are public in a room:");
    }

    // "" for the root, null for what the compiler made beside all namespaces.
    private static string? RoomOf(TypeReference type)
    {
        var outer = Assemblies.Outermost(type);
        if (outer.Namespace == "Cairn")
            return "";
        return outer.Namespace.StartsWith("Cairn.", StringComparison.Ordinal) ? outer.Namespace.Split('.')[1] : null;
    }

    private static bool IsValue(TypeDefinition type) => !Handles.Contains(type.Name)
        && (type.IsEnum || type.IsValueType || Values.Contains(type.Name) || IsException(type) || IsRecord(type));

    private static bool IsRecord(TypeDefinition type) => type.Methods.Any(method => method.Name == "<Clone>$");

    private static bool IsException(TypeDefinition type)
    {
        for (TypeDefinition? at = type; at is not null; at = at.BaseType?.Resolve())
        {
            if (at.FullName == "System.Exception")
                return true;
        }

        return false;
    }
}
