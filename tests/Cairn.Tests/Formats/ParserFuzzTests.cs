#pragma warning disable xUnit1051 // what is waited for here comes at once or not at all
using System.Buffers.Binary;
using System.Diagnostics;
using Cairn.Codec;
using Cairn.Log;
using Cairn.Storage;
using Cairn.Tests.Transactions;
using Cairn.Transfer;
using Xunit;

namespace Cairn.Tests.Formats;

/// <summary>F1: whatever reads bytes gets bytes that are nearly right, behind checks that are right. It may answer, or refuse with a typed
/// error; anything else, more than a second or more than 64 MiB for one input is a bug.</summary>
[Trait("Test", "F1")]
[Trait("Promise", "G6")]
public class ParserFuzzTests
{
    private const long BytesMax = 64 << 20;

    private static readonly TimeSpan TimeMax = TimeSpan.FromSeconds(1);

    // Some bytes changed, put in, taken out, doubled or zeroed; now and then a number that is an end of its range.
    private static byte[] Mutate(ReadOnlySpan<byte> right, Random random, int from = 0, bool keepsLength = false)
    {
        var bytes = right.ToArray().ToList();
        for (var n = random.Next(1, 5); n > 0 && bytes.Count > from; n--)
        {
            var at = random.Next(from, bytes.Count);
            switch (random.Next(keepsLength ? 3 : 6))
            {
                case 0:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 1:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 2:
                    var extreme = (byte)(random.Next(2) == 0 ? 0xFF : 0);
                    for (var i = 0; i < 4 && at + i < bytes.Count; i++)
                        bytes[at + i] = extreme;
                    break;
                case 3:
                    bytes.Insert(at, (byte)random.Next(256));
                    break;
                case 4:
                    bytes.RemoveRange(at, random.Next(1, Math.Min(9, bytes.Count - at + 1)));
                    break;
                default:
                    bytes.InsertRange(at, bytes.GetRange(at, random.Next(1, Math.Min(9, bytes.Count - at + 1))));
                    break;
            }
        }

        return [.. bytes];
    }

    private static void Feed(string parser, int rounds, Func<Random, byte[]> make, Action<byte[]> parse)
    {
        var seed = Seeds.Begin(parser);
        var random = new Random((int)(seed ^ (seed >> 31)));
        for (var round = 0; round < Seeds.Scaled(rounds); round++)
        {
            var bytes = make(random);
            var (began, before) = (Stopwatch.GetTimestamp(), GC.GetAllocatedBytesForCurrentThread());
            var answer = Record.Exception(() => parse(bytes));
            var what = $"{parser}, round {round}: {Convert.ToHexString(bytes.AsSpan(0, Math.Min(bytes.Length, 400)))}";
            Assert.True(answer is null or CairnException or MalformedPayloadException, $"{what}\n{answer}");
            Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < BytesMax, $"{what}: too much memory");
            Assert.True(Stopwatch.GetElapsedTime(began) < 10 * TimeMax, $"{what}: too long");   // ten times: other tests run beside
        }
    }

    [Fact]
    public void F1_A_value_is_decoded_or_refused()
    {
        var values = new Codec.RandomValues(7);
        Feed("value", 20_000, random => Mutate(values.Next(4).Encode(), random), bytes => Assert.NotNull(Value.Decode(bytes).ToJson()));
    }

    [Fact]
    public void F1_A_text_of_JSON_is_read_or_refused()
    {
        var values = new Codec.RandomValues(8);
        Feed(
            "json", 10_000, random => Mutate(System.Text.Encoding.UTF8.GetBytes(values.Next(4).ToJson()), random),
            bytes => Value.FromJson(System.Text.Encoding.UTF8.GetString(bytes)).Encode());
    }

    [Fact]
    public void F1_A_path_of_a_document_is_read_or_refused_and_reads_back()
    {
        var documents = new Documents.RandomDocuments(9);
        string[] right = ["$.a['b c'][0][-1].d", "/a~1b/m~0n/0/-", "$[\"\\u0041\\n\"]['\\uD834\\uDD1E'][-]", "$ .é [ 12 ]"];
        Feed("path", 20_000, random => Mutate(System.Text.Encoding.UTF8.GetBytes(right[random.Next(right.Length)]), random), bytes =>
        {
            var path = DocumentPath.Parse(System.Text.Encoding.UTF8.GetString(bytes));
            Assert.Equal(path, DocumentPath.Parse(path.ToString()));
            path.TryGet(documents.Next(3), out _);
        });
    }

    [Fact]
    public void F1_A_patch_is_read_and_done_or_refused()
    {
        var documents = new Documents.RandomDocuments(10);
        var document = Value.Null;
        Feed(
            "patch", 10_000,
            random =>
            {
                document = documents.Next(3);
                return Mutate(System.Text.Encoding.UTF8.GetBytes(JsonPatch.Diff(document, documents.Near(document)).ToJson()), random);
            },
            bytes => JsonPatch.Parse(System.Text.Encoding.UTF8.GetString(bytes)).Apply(document));
    }

    [Fact]
    public void F1_A_query_is_read_and_evaluated_or_refused()
    {
        var documents = new Documents.RandomDocuments(11);
        string[] right =
        [
            "$.a..b[*]['c', \"\\u00e9\"][0, -1, 1:5:2, ::-1]", "$..[?@.a == 1 && !(@['b'] < 2.5e1 || $.c != null)]",
            "$[?match(@.a, 'a[^b-d]{1,3}|\\\\p{Lu}*.(x)?') || search(@, $.b)]", "$[?length(@.a) >= count(@.*) && value(@..a) <= 'x']",
        ];
        Feed("query", 20_000, random => Mutate(System.Text.Encoding.UTF8.GetBytes(right[random.Next(right.Length)]), random), bytes =>
        {
            var query = JsonPath.Parse(System.Text.Encoding.UTF8.GetString(bytes));
            foreach (var match in query.Evaluate(documents.Next(4)))
                Assert.Equal(match.Path, DocumentPath.Parse(match.ToString()));
        });
    }

    [Fact]
    public void F1_A_filter_is_read_or_refused_and_reads_back()
    {
        var documents = new Documents.RandomDocuments(12);
        string[] right =
        [
            "status eq \"open\" and (cost gte 3 or tags contains 'urgent') and not $.owner['b c'][0] exists",
            "\"/a~1b/0\" not in [1, 2.5, {\"a\": [null]}] or a prefix \"x\" and not (not a <= -1e3)",
        ];
        Feed("filter", 20_000, random => Mutate(System.Text.Encoding.UTF8.GetBytes(right[random.Next(right.Length)]), random), bytes =>
        {
            var filter = Filter.Parse(System.Text.Encoding.UTF8.GetString(bytes));
            Assert.Equal(filter, Filter.Parse(filter.ToString()));
            Assert.Equal(filter, Filter.FromValue(filter.ToValue()));
            filter.Matches(documents.Next(3));
        });
    }

    [Fact]
    public void F1_The_JSON_form_of_a_filter_is_read_or_refused()
    {
        var right = System.Text.Encoding.UTF8.GetBytes(
            """{"and":[{"or":[{"eq":["$.a",1]},{"not":{"exists":"/b/0"}}]},{"not in":["$['c']",[1,"x"]]},{"prefix":["$.a","y"]}]}""");
        Feed("filter form", 20_000, random => Mutate(right, random), bytes =>
            Filter.FromValue(Value.FromJson(System.Text.Encoding.UTF8.GetString(bytes))).Matches(Value.Object(("a", 1))));
    }

    [Fact]
    public void F1_A_regular_expression_is_read_and_run_or_matches_nothing()
    {
        string[] right = ["a[^b-d]{1,3}|\\p{Lu}*.(x)?", "(a|b)*[\\P{L}\\]-]\\.{2,}", "^\U0001F5FE[\U0001F5FE-\U0001F5FF]+$"];
        var query = JsonPath.Parse("$.t[?match(@, $.e) || search(@, $.e)]");
        Feed("expression", 5_000, random => Mutate(System.Text.Encoding.UTF8.GetBytes(right[random.Next(right.Length)]), random), bytes =>
        {
            var text = System.Text.Encoding.UTF8.GetString(bytes);
            query.Evaluate(Value.Object(("e", text), ("t", Value.Array(text, "aab", "\U0001F5FF"))));
        });
    }

    [Fact]
    public void F1_A_key_is_taken_apart_or_not()
    {
        Feed(
            "key", 20_000,
            random =>
            {
                var writer = new KeyWriter(new byte[256]);
                writer.Tag(5);
                writer.Int64(random.NextInt64());
                writer.Float64(random.NextDouble());
                return Mutate(writer.Key, random);
            },
            bytes =>
            {
                var reader = new KeyReader(bytes);
                while (reader.TryTag(out _) && reader.TryInt64(out _) && reader.TryFloat64(out _) && reader.TryId(out _))
                {
                }
            });
    }

    [Fact]
    public void F1_A_transaction_is_walked_or_malformed()
    {
        using var test = new TestDatabase(Durability.Strict, options => options with { ContentThreshold = 4 << 10 });
        test.Db.Transact([test.Run, test.OtherRun()], tx =>
        {
            tx.On(test.Run).Kv.Put("a", 1);
            tx.On(test.OtherRun()).Events.Append("seen", Value.Object(("b", 2)));
        });
        byte[] right = [];
        using (var reader = new LogReader((SegmentedLog)test.Db.Engine.Path.Log.Device!))
        {
            var scan = reader.Scan(0);
            while (scan.MoveNext())
                right = scan.Header.Type == RecordType.Transaction ? scan.Payload.ToArray() : right;
        }

        Feed("transaction", 20_000, random => Mutate(right, random), bytes =>
        {
            if (bytes.Length < TransactionPayload.FixedBytes)
                return;
            var transaction = new TransactionPayload(bytes);
            while (transaction.MoveNext(out var part))
            {
                while (part.MoveNext(out var operation))
                    Assert.True(operation.Body.Length <= bytes.Length);
            }
        });
    }

    [Fact]
    public void F1_A_manifest_behind_a_right_digest_is_read_or_refused()
    {
        using var test = Filled();
        var manifest = ((SegmentedLog)test.Db.Engine.Path.Log.Device!).Manifest;
        var copy = manifest.Encode();
        var length = CopyOf(copy);
        Feed("manifest", 3_000, random => Mutate(copy.AsSpan(0, length - Digest.Size), random, from: 16, keepsLength: true), bytes =>
        {
            using var storage = new MemoryStorage();
            using (var file = storage.CreateNew(manifest.Name))
            {
                file.WriteAt(bytes, 0);
                var digest = new byte[Digest.Size];
                Digest.Of(bytes).Write(digest);
                file.WriteAt(digest, bytes.Length);
            }

            Manifest.Load(storage, manifest.Number, forWriting: true, out _);
        });
    }

    private static int CopyOf(byte[] file) =>
        Manifest.CopyHeaderBytes + (int)BinaryPrimitives.ReadUInt32LittleEndian(file.AsSpan(12)) + Digest.Size;

    [Fact]
    public void F1_A_block_of_a_table_behind_a_right_check_is_read_or_refused()
    {
        using var test = Filled();
        var table = test.Db.Engine.Recovered!.Image.Value.Tables[0];
        var info = table.Info;
        byte[] right;
        using (var file = test.Storage.Open(info.Path, writable: false))
        {
            right = new byte[file.Length];
            file.ReadAt(right, 0);
        }

        Assert.True(SealedFileHeader.TryRead(TableFormat.Magic, right, out var header));
        var places = new HashSet<BlockPlace> { table.Footer.Root };
        var cursor = new TableCursor(table);
        for (var more = cursor.MoveToFirst(); more; more = cursor.MoveNext())
            places.Add(cursor.Place);
        BlockPlace[] blocks = [.. places];
        Feed(
            "block", 3_000,
            random =>
            {
                var bytes = right.ToArray();
                var place = blocks[random.Next(blocks.Length)];
                var block = bytes.AsSpan((int)place.Offset, place.Bytes);
                Mutate(block, random, from: 4, keepsLength: true).CopyTo(block);
                Block.Seal(block, TableFormat.Salted(header.Salt), place.Offset);
                return bytes;
            },
            bytes =>
            {
                using var storage = new MemoryStorage();
                storage.CreateDirectory(LogNames.TableDirectory);
                using (var file = storage.CreateNew(info.Path))
                    file.WriteAt(bytes, 0);
                using var opened = Table.Open(storage, info, header.DatabaseId, new BlockCache(1 << 20));
                var image = new Image(opened);
                var versions = image.Versions();
                for (var n = 0; n < 10_000 && versions.MoveNext(); n++)
                    image.TryGet(versions.Run, versions.Key, ulong.MaxValue, out _);
            });
    }

    [Fact]
    public void F1_Lines_of_an_export_are_imported_or_refused()
    {
        using var test = Filled();
        using var lines = new MemoryStream();
        test.Db.Export(lines);
        var right = lines.ToArray();
        Feed("lines", 300, random => Mutate(right, random), bytes =>
        {
            using var target = CairnDatabase.OpenInMemory();
            using var source = new MemoryStream(bytes);
            target.Import(source);
        });
    }

    [Fact]
    public void F1_A_run_file_is_imported_or_refused_and_what_is_refused_changes_nothing()
    {
        using var test = Filled();
        using var file = new MemoryStream();
        test.Db.ExportRun(test.Run.Id, file);
        var right = file.ToArray();
        using var target = CairnDatabase.OpenInMemory();
        Feed("run file", 2_000, Make, bytes =>
        {
            using var source = new MemoryStream(bytes);
            try
            {
                target.Runs.Delete(target.ImportRun(source, new RunImportOptions { Name = "copy" }).Run);
            }
            finally
            {
                Assert.Equal(0, target.Runs.Count());
            }
        });

        byte[] Make(Random random) =>
            random.Next(3) == 0 ? Checked(Mutate(right, random, RunFile.HeaderBytes)) : Mutate(right, random);
    }

    // The checks made right again, as far as there are blocks: so that what stands behind them is reached.
    private static byte[] Checked(byte[] bytes)
    {
        var offset = RunFile.HeaderBytes;
        for (var ordinal = 0ul; offset + RunFile.BlockHeadBytes <= bytes.Length - Hash256.Size; ordinal++)
        {
            var length = BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(offset));
            var count = length == 0 ? RunFile.EndBytes : length;
            if (offset + RunFile.BlockHeadBytes + count > bytes.Length - Hash256.Size)
                return bytes;
            BinaryPrimitives.WriteUInt32LittleEndian(
                bytes.AsSpan(offset + 4),
                RunFile.CheckOf(ordinal, bytes.AsSpan(offset, 4), bytes.AsSpan(offset + RunFile.BlockHeadBytes, (int)count)));
            offset += RunFile.BlockHeadBytes + (int)count;
            if (length == 0)
                break;
        }

        System.Security.Cryptography.SHA256.HashData(bytes.AsSpan(0, offset), bytes.AsSpan(Math.Min(offset, bytes.Length - Hash256.Size)));
        return bytes;
    }

    private static TestDatabase Filled()
    {
        var test = new TestDatabase(Durability.Strict);
        for (var i = 0; i < 200; i++)
            test.Kv.Put($"key {i}", new string('v', i));
        test.Run.Events.Append("seen", Value.Object(("n", 1)));
        test.Run.State.Set("cell", 1);
        test.OtherRun().Kv.Put("other", 1);
        test.Checkpoint();
        return test;
    }
}
