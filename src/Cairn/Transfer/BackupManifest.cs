using System.Globalization;
using System.Security.Cryptography;
using Cairn.Codec;
using Cairn.Log;
using Cairn.Storage;

namespace Cairn.Transfer;

/// <summary>Bytes of a file that one backup of a chain holds: all of its own file under the same path.</summary>
/// <param name="Backup">Which backup.</param>
/// <param name="Offset">Where they stand in the whole file.</param>
internal readonly record struct BackupPiece(UInt128 Backup, long Offset, long Bytes, Digest Digest);

/// <summary>A file of the database as it was backed up: its pieces lie end to end.</summary>
/// <param name="Path">As in the database's directory.</param>
internal sealed record BackupFile(string Path, long Bytes, Digest Digest, IReadOnlyList<BackupPiece> Pieces);

/// <summary>What a backup says of itself: the last file that it gets, so that what lacks it is no backup. Lines of JSON (docs/format.md):
/// a head, one line per file of the database, and the code over all bytes before it: HMAC-SHA-256 when a key was given, otherwise
/// SHA-256, which finds damage and no forgery.</summary>
internal sealed record BackupManifest
{
    internal const string FileName = LogNames.Backup;

    /// <summary>Shortest key: half of what the hash is wide.</summary>
    internal const int KeyBytesMin = 16;

    private const int Version = 1;
    private const string PlainCode = "sha256";
    private const string KeyedCode = "hmac-sha256";

    /// <summary>A bound for reading: more lines than a manifest of a database can name files.</summary>
    private const long BytesMax = 1L << 30;

    internal required UInt128 Id { get; init; }

    /// <summary>The backup whose files this one does not repeat; null in a full one.</summary>
    internal UInt128? Parent { get; init; }

    /// <summary>What the restored database begins with: it names the files of this backup and the last commit in it.</summary>
    internal required Manifest Database { get; init; }

    /// <summary>When the backup was made, microseconds since 1970.</summary>
    internal long Created { get; init; }

    internal required IReadOnlyList<BackupFile> Files { get; init; }

    internal ulong Sequence => Database.LastSequence;

    /// <summary>The whole file.</summary>
    internal byte[] Encode(ReadOnlySpan<byte> key)
    {
        using var lines = new MemoryStream();
        WriteLine(lines, Value.Object(
            ("cairn_backup", Version),
            ("id", Text(Id)),
            ("parent", Parent is { } parent ? Text(parent) : Value.Null),
            ("database", Text(Database.DatabaseId)),
            ("sequence", (long)Database.LastSequence),
            ("time_us", Database.CommitTime),
            ("created_us", Created),
            ("manifest_number", (long)Database.Number),
            ("manifest", Value.Bytes(Database.Encode()))));
        foreach (var file in Files)
        {
            WriteLine(lines, Value.Object(
                ("path", file.Path),
                ("bytes", file.Bytes),
                ("sha256", file.Digest.ToString()),
                ("pieces", Value.Array(file.Pieces.Select(piece => Value.Object(
                    ("backup", Text(piece.Backup)),
                    ("offset", piece.Offset),
                    ("bytes", piece.Bytes),
                    ("sha256", piece.Digest.ToString())))))));
        }

        var covered = lines.ToArray();
        var value = Convert.ToHexStringLower(CodeOf(covered, key));
        WriteLine(lines, Value.Object(("code", key.IsEmpty ? PlainCode : KeyedCode), ("value", value)));
        return lines.ToArray();
    }

    /// <summary>Reads and proves the manifest of a backup.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotABackup"/>: there is none; <see cref="ErrorCode.InvalidArgument"/>: it
    /// carries a keyed code and there is no key, or the other way round.</exception>
    /// <exception cref="CorruptionException">It was changed, or the key is another one.</exception>
    internal static BackupManifest Load(IStorage storage, ReadOnlySpan<byte> key)
    {
        if (!storage.Exists(FileName))
        {
            throw new CairnException(
                ErrorCode.NotABackup,
                $"{storage.Description} is not a backup: it has no {FileName}. A backup that was interrupted never gets one: make a "
                + "new one in an empty directory.");
        }

        var bytes = ReadAll(storage);
        var end = bytes.Length - 1;
        var code = end < 0 ? -1 : bytes.AsSpan(0, end).LastIndexOf((byte)'\n') + 1;
        if (code <= 0 || bytes[end] != (byte)'\n')
            throw Damaged(storage, 0, "lines that end with a code");
        var covered = bytes.AsSpan(0, code);
        Prove(storage, covered, Parse(storage, bytes, code, end), key, code);
        return Read(storage, bytes, code);
    }

    private static byte[] ReadAll(IStorage storage)
    {
        using var file = storage.Open(FileName, writable: false);
        if (file.Length > BytesMax)
            throw Damaged(storage, BytesMax, $"at most {BytesMax} bytes");
        var bytes = new byte[file.Length];
        var read = file.ReadAt(bytes, 0);
        return read == bytes.Length ? bytes : bytes[..read];
    }

    private static void Prove(IStorage storage, ReadOnlySpan<byte> covered, Value line, ReadOnlySpan<byte> key, int offset)
    {
        if (!TryText(line, "code", out var name) || !TryText(line, "value", out var value) || name is not (PlainCode or KeyedCode))
            throw Damaged(storage, offset, "a code that this version knows");
        var isKeyed = name == KeyedCode;

        // Whoever can change the lines can also replace a keyed code by a plain one: so a key that was given must be asked for.
        if (isKeyed && key.IsEmpty)
            throw new CairnException(ErrorCode.InvalidArgument, $"The backup in {storage.Description} was made with a key. Give that key.");
        if (!isKeyed && !key.IsEmpty && !Mutant.Is("backup-plain-code-under-key"))
        {
            throw new CairnException(
                ErrorCode.InvalidArgument,
                $"The backup in {storage.Description} was made without a key, so a key proves nothing about it. Leave the key out "
                + "if that is what you expect.");
        }

        Span<byte> told = stackalloc byte[Digest.Size];
        if (value.Length != 2 * Digest.Size
            || Convert.FromHexString(value, told, out _, out var written) != System.Buffers.OperationStatus.Done
            || written != Digest.Size || !CryptographicOperations.FixedTimeEquals(told, CodeOf(covered, isKeyed ? key : default)))
        {
            var under = isKeyed ? " under this key; the key is another one, or they were changed" : "";
            throw Damaged(storage, offset, $"the code of these lines{under}");
        }
    }

    private static BackupManifest Read(IStorage storage, byte[] bytes, int end)
    {
        var files = new List<BackupFile>();
        BackupManifest? head = null;
        for (var begin = 0; begin < end;)
        {
            var next = begin + bytes.AsSpan(begin, end - begin).IndexOf((byte)'\n');
            var line = Parse(storage, bytes, begin, next);
            if (head is null)
                head = ReadHead(storage, line);
            else
                files.Add(ReadFile(line) ?? throw Damaged(storage, begin, "a line about a file"));
            begin = next + 1;
        }

        if (head is null)
            throw Damaged(storage, 0, "a head");
        Span<string> named = [.. TransferNames.Of(head.Database).Select(file => file.Path).Order(StringComparer.Ordinal)];
        Span<string> found = [.. files.Select(file => file.Path).Order(StringComparer.Ordinal)];
        return named.SequenceEqual(found)
            ? head with { Files = files }
            : throw Damaged(storage, 0, "exactly the files that the database's manifest names");
    }

    private static BackupManifest ReadHead(IStorage storage, Value line)
    {
        if (!TryNumber(line, "cairn_backup", out var version))
            throw Damaged(storage, 0, "the head of a backup");
        if (version != Version)
            throw new FormatVersionException(FileName, $"version {version} of a backup", $"version {Version}");
        if (!TryId(line, "id", out var id) || !line.TryGetMember("parent", out var parent)
            || (!parent.IsNull && !TryId(line, "parent", out _)) || !TryNumber(line, "created_us", out var created)
            || !TryNumber(line, "manifest_number", out var number) || !line.TryGetMember("manifest", out var manifest)
            || manifest.Kind != ValueKind.Bytes)
        {
            throw Damaged(storage, 0, "the head of a backup");
        }

        return new BackupManifest
        {
            Id = id,
            Parent = parent.IsNull ? null : Id128(parent.AsString()),
            Created = created,
            Database = Manifest.Decode(manifest.AsBytes().ToArray(), FileName, (ulong)number, forWriting: true, out _),
            Files = [],
        };
    }

    private static BackupFile? ReadFile(Value line)
    {
        if (!TryText(line, "path", out var path) || !TryNumber(line, "bytes", out var bytes) || !TryDigest(line, out var digest)
            || !line.TryGetMember("pieces", out var list) || list.Kind != ValueKind.Array)
        {
            return null;
        }

        var pieces = new List<BackupPiece>();
        var end = 0L;
        foreach (var item in list.AsArray())
        {
            if (item.Kind != ValueKind.Object || !TryId(item, "backup", out var backup) || !TryNumber(item, "offset", out var offset)
                || !TryNumber(item, "bytes", out var length) || !TryDigest(item, out var pieceDigest) || offset != end || length <= 0
                || length > bytes - end)
            {
                return null;
            }

            pieces.Add(new BackupPiece(backup, offset, length, pieceDigest));
            end += length;
        }

        return end == bytes ? new BackupFile(path, bytes, digest, pieces) : null;
    }

    private static byte[] CodeOf(ReadOnlySpan<byte> covered, ReadOnlySpan<byte> key) =>
        key.IsEmpty ? SHA256.HashData(covered) : HMACSHA256.HashData(key, covered);

    private static void WriteLine(MemoryStream target, Value line)
    {
        target.Write(Utf8.GetBytes(line.ToJson()));
        target.WriteByte((byte)'\n');
    }

    private static Value Parse(IStorage storage, byte[] bytes, int begin, int end)
    {
        try
        {
            var line = Value.FromJson(bytes.AsSpan(begin, end - begin));
            return line.Kind == ValueKind.Object ? line : throw Damaged(storage, begin, "an object");
        }
        catch (CairnException unreadable) when (unreadable is not CorruptionException)
        {
            throw Damaged(storage, begin, "a line of JSON");
        }
    }

    private static bool TryText(Value line, string name, out string text)
    {
        text = line.TryGetMember(name, out var member) && member.Kind == ValueKind.String ? member.AsString() : "";
        return text.Length > 0;
    }

    private static bool TryNumber(Value line, string name, out long number)
    {
        var isThere = line.TryGetMember(name, out var member) && member.Kind == ValueKind.Int64;
        number = isThere ? member.AsInt64() : 0;
        return isThere && number >= 0;
    }

    private static bool TryId(Value line, string name, out UInt128 id)
    {
        id = default;
        return TryText(line, name, out var text) && text.Length == 32
            && UInt128.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out id);
    }

    private static bool TryDigest(Value line, out Digest digest)
    {
        digest = default;
        Span<byte> bytes = stackalloc byte[Digest.Size];
        if (!TryText(line, "sha256", out var text) || text.Length != 2 * Digest.Size
            || Convert.FromHexString(text, bytes, out _, out var written) != System.Buffers.OperationStatus.Done || written != Digest.Size)
        {
            return false;
        }

        digest = Digest.Read(bytes);
        return true;
    }

    internal static string Text(UInt128 id) => id.ToString("x32", CultureInfo.InvariantCulture);

    private static UInt128 Id128(string text) => UInt128.Parse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);

    private static CorruptionException Damaged(IStorage storage, long offset, string expected) =>
        new($"{storage.Description}/{FileName}", offset, Cairn.Sequence.None, expected);
}
