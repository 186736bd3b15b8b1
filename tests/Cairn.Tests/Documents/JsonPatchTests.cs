using System.Text.Json;
using Xunit;

namespace Cairn.Tests.Documents;

/// <summary>RFC 6902: the public suites, limits, and patches that are made of two documents.</summary>
public class JsonPatchTests
{
    public static TheoryData<string, int> Cases
    {
        get
        {
            var cases = new TheoryData<string, int>();
            foreach (var (file, count) in new[] { ("tests.json", 95), ("spec_tests.json", 17) })
            {
                using var suite = Suite(file);
                Assert.Equal(count, suite.RootElement.GetArrayLength());
                for (var n = 0; n < count; n++)
                {
                    if (!suite.RootElement[n].TryGetProperty("disabled", out var disabled) || !disabled.GetBoolean())
                        cases.Add(file, n);
                }
            }

            return cases;
        }
    }

    private static JsonDocument Suite(string file) =>
        JsonDocument.Parse(File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "Fixtures", "json-patch", file)));

    [Theory]
    [MemberData(nameof(Cases))]
    [Trait("Requirement", "JS-10")]
    [Trait("Requirement", "JS-11")]
    [Trait("Requirement", "JS-12")]
    public void Every_enabled_case_of_the_suite(string file, int number)
    {
        using var suite = Suite(file);
        var test = suite.RootElement[number];
        var document = Value.FromJson(test.GetProperty("doc").GetRawText());
        var before = document.ToJson();
        var patch = test.GetProperty("patch").GetRawText();
        if (test.TryGetProperty("error", out var error))
        {
            var refused = Assert.ThrowsAny<CairnException>(() => JsonPatch.Parse(patch).Apply(document));
            Assert.True(
                refused.Code is ErrorCode.InvalidPath or ErrorCode.PathNotFound or ErrorCode.TypeMismatch or ErrorCode.TestFailed
                    or ErrorCode.InvalidArgument,
                $"{error}: {refused.Message}");
        }
        else
        {
            var result = JsonPatch.Parse(patch).Apply(document);
            if (test.TryGetProperty("expected", out var expected))
                Assert.Equal(Value.FromJson(expected.GetRawText()), result);
            var again = JsonPatch.Parse(JsonPatch.Parse(patch).ToJson()).Apply(document);
            Assert.Equal(result, again);
        }

        Assert.Equal(before, document.ToJson());
    }

    [Theory]
    [InlineData("""[{"op":"test","path":"/a","value":1.0}]""", true)]
    [InlineData("""[{"op":"test","path":"/a","value":1e0}]""", true)]
    [InlineData("""[{"op":"test","path":"/a","value":"1"}]""", false)]
    [InlineData("""[{"op":"test","path":"/big","value":9007199254740993}]""", true)]
    [InlineData("""[{"op":"test","path":"/big","value":9007199254740992.0}]""", false)]
    [InlineData("""[{"op":"test","path":"/o","value":{"y":[1,2.0],"x":0}}]""", true)]
    [InlineData("""[{"op":"test","path":"/o","value":{"y":[2,1],"x":0}}]""", false)]
    [InlineData("""[{"op":"test","path":"/n","value":null}]""", true)]
    [InlineData("""[{"op":"test","path":"/n","value":false}]""", false)]
    [Trait("Requirement", "JS-11")]
    public void A_test_compares_numbers_by_value_and_objects_without_order(string patch, bool holds)
    {
        var document = Value.FromJson("""{"a":1,"big":9007199254740993,"o":{"x":0,"y":[1,2]},"n":null}""");
        if (holds)
        {
            Assert.Equal(document, JsonPatch.Parse(patch).Apply(document));
            return;
        }

        var failed = Assert.Throws<DocumentException>(() => JsonPatch.Parse(patch).Apply(document));
        Assert.Equal((ErrorCode.TestFailed, 0), (failed.Code, failed.Operation));
    }

    [Theory]
    [InlineData("""[{"op":"add","path":"/x","value":1},{"op":"remove","path":"/none"}]""", ErrorCode.PathNotFound, 1)]
    [InlineData("""[{"op":"add","path":"/x","value":1},{"op":"remove","path":""}]""", ErrorCode.InvalidPath, 1)]
    [InlineData("""[{"op":"move","from":"/o","path":"/o/in"}]""", ErrorCode.InvalidPath, 0)]
    [InlineData("""[{"op":"move","from":"","path":"/o"}]""", ErrorCode.InvalidPath, 0)]
    [InlineData("""[{"op":"replace","path":"/a/-","value":1}]""", ErrorCode.PathNotFound, 0)]
    [InlineData("""[{"op":"remove","path":"/a/-"}]""", ErrorCode.PathNotFound, 0)]
    [InlineData("""[{"op":"add","path":"/a/-/x","value":1}]""", ErrorCode.PathNotFound, 0)]
    [InlineData("""[{"op":"add","path":"/a/01","value":1}]""", ErrorCode.TypeMismatch, 0)]
    [InlineData("""[{"op":"add","path":"/a/4","value":1}]""", ErrorCode.PathNotFound, 0)]
    [InlineData("""[{"op":"add","path":"/n/x","value":1}]""", ErrorCode.TypeMismatch, 0)]
    [InlineData("""[{"op":"add","path":"/x"}]""", ErrorCode.InvalidArgument, 0)]
    [InlineData("""[{"op":"copy","path":"/x"}]""", ErrorCode.InvalidArgument, 0)]
    [InlineData("""[{"op":"test","path":"/x"}]""", ErrorCode.InvalidArgument, 0)]
    [InlineData("""[{"path":"/x"}]""", ErrorCode.InvalidArgument, 0)]
    [InlineData("""[{"op":"spam","path":"/x"}]""", ErrorCode.InvalidArgument, 0)]
    [InlineData("""[{"op":"remove","path":7}]""", ErrorCode.InvalidArgument, 0)]
    [InlineData("""[{"op":"add","path":"/x","value":1},[]]""", ErrorCode.InvalidArgument, 1)]
    [InlineData("""{"op":"add"}""", ErrorCode.InvalidArgument, null)]
    [Trait("Requirement", "JS-10")]
    [Trait("Requirement", "JS-11")]
    public void An_operation_that_cannot_be_done_is_told_by_its_number_and_nothing_is(string patch, ErrorCode code, int? operation)
    {
        var document = Value.FromJson("""{"a":[1,2,3],"o":{"in":{}},"n":null}""");
        var before = document.ToJson();
        var failed = Assert.Throws<DocumentException>(() => JsonPatch.Parse(patch).Apply(document));
        Assert.Equal((code, operation), (failed.Code, failed.Operation));
        Assert.NotEmpty(failed.Path);
        Assert.Equal(before, document.ToJson());
    }

    [Fact]
    [Trait("Requirement", "JS-11")]
    public void Unknown_members_are_ignored_and_a_path_is_a_pointer()
    {
        var patch = JsonPatch.Parse("""[{"op":"remove","path":"/a","note":"x","value":1}]""");
        Assert.Equal("{}", patch.Apply(Value.Object(("a", 1))).ToJson());
        Assert.Equal("""[{"op":"remove","path":"/a"}]""", patch.ToJson());
        var refused = Assert.Throws<MalformedTextException>(() => JsonPatch.Parse("""[{"op":"remove","path":"$.a"}]"""));
        Assert.Equal((ErrorCode.InvalidPath, 0), (refused.Code, refused.Offset));
    }

    // A patch holds several values, each of which may be as large and as deep as a value may be.
    [Fact]
    [Trait("Requirement", "JS-19")]
    [Trait("Requirement", "LIM-17")]
    public void A_patch_may_hold_several_of_the_largest_and_of_the_deepest_values()
    {
        var limits = new Limits { ValueBytesMax = 1_000, DepthMax = 10, ObjectMembersMax = 2, TransactionBytesMax = 1_000 + (64 << 10) };
        var large = new string('x', 900);
        var deep = new string('[', 10) + new string(']', 10);
        var json = $$"""
            [{"op":"add","path":"","value":"{{large}}"},{"op":"replace","path":"","value":"y{{large}}"},
             {"op":"replace","path":"","value":{{deep}}}]
            """;
        Assert.Equal(Value.FromJson(deep), JsonPatch.Parse(json, limits).Apply(1, limits));
        var refused = Assert.Throws<LimitException>(
            () => JsonPatch.Parse($$"""[{"op":"add","path":"","value":"{{new string('x', 70_000)}}"}]""", limits));
        Assert.Equal(nameof(Limits.TransactionBytesMax), refused.Limit);
        Assert.Equal(
            nameof(Limits.ValueBytesMax),
            Assert.Throws<LimitException>(
                () => JsonPatch.Parse($$"""[{"op":"add","path":"","value":"{{large}}{{large}}"}]""", limits).Apply(1, limits)).Limit);
    }

    // A document that is copied into itself doubles each time: without the check it would take the memory of the process.
    [Fact]
    [Trait("Requirement", "JS-19")]
    [Trait("Requirement", "LIM-41")]
    public void A_document_that_is_copied_into_itself_is_refused_at_the_step_that_makes_it_too_large()
    {
        var bomb = new JsonPatch(Enumerable.Repeat(JsonPatchOperation.Copy("", "/-"), 90));
        var before = GC.GetAllocatedBytesForCurrentThread();
        var refused = Assert.Throws<LimitException>(() => bomb.Apply(Value.Array(new string('x', 1_000))));
        Assert.Equal(nameof(Limits.ValueBytesMax), refused.Limit);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
    }

    [Fact]
    [Trait("Requirement", "JS-19")]
    public void A_document_that_an_operation_makes_too_deep_is_refused()
    {
        var deep = (Value)1;
        for (var level = 0; level < 99; level++)
            deep = Value.Array(deep);
        var moved = JsonPatch.Parse("""[{"op":"move","from":"/a","path":"/b"}]""").Apply(Value.Object(("a", deep)));
        Assert.Equal(deep, moved["b"]);
        var refused = Assert.Throws<LimitException>(
            () => JsonPatch.Parse("""[{"op":"add","path":"/b","value":[]},{"op":"move","from":"/a","path":"/b/0"}]""")
                .Apply(Value.Object(("a", deep))));
        Assert.Equal((nameof(Limits.DepthMax), 101), (refused.Limit, refused.Actual));
    }

    [Theory]
    [InlineData("""{"a":1,"b":2}""", """{"a":1,"c":3}""", """[{"op":"remove","path":"/b"},{"op":"add","path":"/c","value":3}]""")]
    [InlineData("[1,2,3,4]", "[1,3,4]", """[{"op":"remove","path":"/1"}]""")]
    [InlineData("[1,2,3,4]", "[1,2,9,3,4]", """[{"op":"add","path":"/2","value":9}]""")]
    [InlineData("[1,2,3,4]", "[0,1,2,4,5]", """
        [{"op":"add","path":"/0","value":0},{"op":"remove","path":"/3"},{"op":"add","path":"/4","value":5}]
        """)]
    [InlineData("""[{"a":1},{"b":2}]""", """[{"a":1},{"b":3}]""", """[{"op":"replace","path":"/1/b","value":3}]""")]
    [InlineData("1", "1.0", """[{"op":"replace","path":"","value":1.0}]""")]
    [InlineData("""{"a/b":{"~":1}}""", """{"a/b":{"~":2}}""", """[{"op":"replace","path":"/a~1b/~0","value":2}]""")]
    [InlineData("{}", "{}", "[]")]
    [Trait("Requirement", "JS-29")]
    public void A_patch_says_what_is_different_and_no_more(string from, string to, string patch) => Assert.Equal(
        Value.FromJson(patch).ToJson(), JsonPatch.Diff(Value.FromJson(from), Value.FromJson(to)).ToJson());

    [Fact]
    [Trait("Kind", "Random")]
    [Trait("Requirement", "JS-29")]
    public void The_patch_of_two_random_documents_makes_one_of_the_other()
    {
        var documents = new RandomDocuments(Codec.RandomValues.PrintSeed());
        for (var n = 0; n < Seeds.Scaled(2_000); n++)
        {
            var from = documents.Next(4);
            var to = documents.Random.Next(4) == 0 ? documents.Next(4) : documents.Near(from);
            var patch = JsonPatch.Diff(from, to);
            var message = $"{from.ToJson()}\n{to.ToJson()}\n{patch.ToJson()}";
            Assert.True(patch.Apply(from) == to, message);
            Assert.True(JsonPatch.Parse(patch.ToJson()).Apply(from) == to, message);
            Assert.True(from != to || patch.Operations.Count == 0, message);
        }
    }

    [Fact]
    [Trait("Requirement", "JS-29")]
    [Trait("Requirement", "LIM-10")]
    public void A_patch_that_would_be_too_long_replaces_the_document()
    {
        var from = Value.Array(Enumerable.Range(0, 2_000).Select(n => (Value)n));
        var to = Value.Array(Enumerable.Range(0, 2_000).Select(n => (Value)(n + 10_000)));
        var patch = JsonPatch.Diff(from, to);
        Assert.Equal((1, DocumentPath.Root), (patch.Operations.Count, patch.Operations[0].Path));
        Assert.Equal(to, patch.Apply(from));
        Assert.Equal(2_000, JsonPatch.Diff(from, to, new Limits { PatchOperationsMax = 2_000 }).Operations.Count);
    }

    // So many changes are so many operations, wherever they are in a large document.
    [Theory]
    [InlineData(0, "")]
    [InlineData(1, "/0")]
    [InlineData(2, "/0 /10000")]
    [InlineData(3, "/0 /9999 /5000")]
    [InlineData(5, "/0 /10000 -/17 =/9000/name =/12/name")]
    [InlineData(4, "=/0/name -/1 /2 =/9999/name")]
    [Trait("Requirement", "JS-29")]
    public void A_few_changes_of_a_long_array_are_as_many_operations(int operations, string changes)
    {
        var from = Value.Array(Enumerable.Range(0, 10_000).Select(
            n => Value.Object(("id", n), ("name", $"step {n % 7}"), ("done", n % 2 == 0))));
        var to = new JsonPatch(changes.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(change => change[0] switch
        {
            '-' => JsonPatchOperation.Remove(change[1..]),
            '=' => JsonPatchOperation.Replace(change[1..], "other"),
            _ => JsonPatchOperation.Add(change, Value.Object(("id", -1), ("name", "new"))),
        })).Apply(from);
        var patch = JsonPatch.Diff(from, to);
        Assert.Equal(to, patch.Apply(from));
        Assert.True(patch.Operations.Count <= operations, patch.ToJson());
        Assert.True(JsonPatch.Diff(to, from).Operations.Count <= operations, JsonPatch.Diff(to, from).ToJson());
    }

    [Theory]
    [InlineData("[1,2,3,4,5,6,7,8]", "[2,3,4,5,6,7,8,1]", 2)]
    [InlineData("[1,2,3]", "[3,4,5]", 3)]
    [InlineData("[{\"id\":1,\"a\":1,\"b\":1},{\"id\":2,\"a\":2,\"b\":2}]", "[{\"a\":2,\"b\":3,\"id\":2}]", 2)]
    [InlineData("[{\"id\":1,\"a\":1,\"b\":1}]", "[{\"a\":9,\"b\":9,\"id\":9},{\"a\":1,\"b\":2,\"id\":1}]", 2)]
    [InlineData("{\"a\":{\"x\":1,\"y\":2,\"z\":3}}", "{\"a\":{\"p\":4,\"q\":5,\"r\":6}}", 1)]
    [InlineData("{\"a\":{\"x\":1,\"y\":2,\"z\":3}}", "{\"a\":{\"x\":1,\"y\":2,\"z\":4}}", 1)]
    [InlineData("[[1,2],[3,4],[5,6]]", "[[1,2],[3,7],[5,8]]", 2)]
    [Trait("Requirement", "JS-29")]
    public void A_patch_is_short(string from, string to, int operations)
    {
        var patch = JsonPatch.Diff(Value.FromJson(from), Value.FromJson(to));
        Assert.True(operations == patch.Operations.Count, patch.ToJson());
        Assert.Equal(to, patch.Apply(Value.FromJson(from)).ToJson());
    }

    // The least number there is, counted by the textbook (Wagner and Fischer 1974), whatever the arrays.
    [Fact]
    [Trait("Kind", "Random")]
    [Trait("Requirement", "JS-29")]
    public void Arrays_of_scalars_differ_in_the_least_number_of_operations()
    {
        var random = new Random(Codec.RandomValues.PrintSeed());
        for (var n = 0; n < Seeds.Scaled(500); n++)
        {
            var from = Enumerable.Range(0, random.Next(25)).Select(_ => random.Next(6)).ToArray();
            var to = Enumerable.Range(0, random.Next(25)).Select(_ => random.Next(6)).ToArray();
            var patch = JsonPatch.Diff(ToArray(from), ToArray(to));
            Assert.Equal(ToArray(to), patch.Apply(ToArray(from)));
            Assert.True(Distance(from, to) == patch.Operations.Count, $"{ToArray(from)} {ToArray(to)} {patch.ToJson()}");
        }
    }

    // Above the size of the table: elements that stay are found all the same, and what lies between them is as above.
    [Fact]
    [Trait("Kind", "Random")]
    [Trait("Requirement", "JS-29")]
    public void Long_arrays_that_differ_in_some_places_differ_in_that_many_operations()
    {
        var random = new Random(Codec.RandomValues.PrintSeed());
        for (var n = 0; n < Seeds.Scaled(30); n++)
        {
            var from = Enumerable.Range(0, random.Next(600, 3_000)).ToArray();
            var to = from.ToList();
            var changes = random.Next(1, 60);
            for (var change = 1; change <= changes; change++)
            {
                var at = random.Next(1, to.Count - 1);
                switch (random.Next(3))
                {
                    case 0:
                        to.Insert(at, -change);
                        break;
                    case 1:
                        to.RemoveAt(at);
                        break;
                    default:
                        to[at] = -change;
                        break;
                }
            }

            var patch = JsonPatch.Diff(ToArray(from), ToArray([.. to]));
            Assert.Equal(ToArray([.. to]), patch.Apply(ToArray(from)));
            Assert.True(patch.Operations.Count <= changes, $"{changes} changes, {patch.Operations.Count} operations");
        }
    }

    [Fact]
    [Trait("Kind", "Random")]
    [Trait("Requirement", "JS-29")]
    public void One_change_of_a_random_document_is_one_operation()
    {
        var documents = new RandomDocuments(Codec.RandomValues.PrintSeed());
        for (var n = 0; n < Seeds.Scaled(2_000); n++)
        {
            var from = documents.Next(4);
            var places = JsonPath.Parse("$..*").Evaluate(from);
            if (places.Count == 0)
                continue;
            var path = places[documents.Random.Next(places.Count)].Path;
            var to = documents.Random.Next(2) == 0
                ? path.Set(from, "changed")
                : new JsonPatch(JsonPatchOperation.Remove(path)).Apply(from);
            var patch = JsonPatch.Diff(from, to);
            Assert.True(patch.Operations.Count <= 1, $"{from.ToJson()} {to.ToJson()} {patch.ToJson()}");
            Assert.Equal(to, patch.Apply(from));
        }
    }

    private static Value ToArray(int[] numbers) => Value.Array(numbers.Select(number => (Value)number));

    private static int Distance(int[] from, int[] to)
    {
        var costs = new int[from.Length + 1, to.Length + 1];
        for (var left = 0; left <= from.Length; left++)
        {
            for (var right = 0; right <= to.Length; right++)
            {
                costs[left, right] = left == 0 || right == 0
                    ? left + right
                    : Math.Min(
                        Math.Min(costs[left - 1, right], costs[left, right - 1]) + 1,
                        costs[left - 1, right - 1] + (from[left - 1] == to[right - 1] ? 0 : 1));
            }
        }

        return costs[from.Length, to.Length];
    }
}
