using Cairn.Codec;
using Xunit;

namespace Cairn.Tests.Codec;

public sealed class KeyRulesTests
{
    [Theory]
    [InlineData("a")]
    [InlineData("../x")]
    [InlineData("line\nbreak")]
    [InlineData("é€\U0001F5FF")]
    [InlineData("a$")]
    public void NAM_1_Keys_are_kept_as_their_UTF_8(string key)
    {
        Span<byte> target = stackalloc byte[Limits.KeyBytesMax];
        KeyRules.EncodeKey(key, target, out var written);
        Assert.Equal(key, Utf8.GetString(target[..written]));
        KeyRules.CheckKey(target[..written]);
    }

    [Theory]
    [InlineData("")]
    [InlineData("a\0b")]
    [InlineData("$sys")]
    public void NAM_1_What_is_no_key_is_refused(string key)
    {
        Assert.Equal(ErrorCode.InvalidKey, Assert.Throws<CairnException>(() => Encode(key)).Code);
        static void Encode(string key) => KeyRules.EncodeKey(key, new byte[Limits.KeyBytesMax], out _);
    }

    [Theory]
    [InlineData("")]
    [InlineData("a/b")]
    [InlineData("a\tb")]
    [InlineData("a\0")]
    [InlineData("\u007F")]
    [InlineData("x\u0080")]
    [InlineData("éé\u009F")]
    [InlineData("$input.model")]
    public void NAM_2_What_is_no_name_is_refused_as_text_and_as_bytes(string name)
    {
        Assert.Equal(ErrorCode.InvalidName, Assert.Throws<CairnException>(() => Encode(name)).Code);
        Assert.Equal(ErrorCode.InvalidName, Assert.Throws<CairnException>(() => KeyRules.CheckName(Utf8.GetBytes(name))).Code);
        static void Encode(string name) => KeyRules.EncodeName(name, new byte[Limits.NameBytesMax], out _);
    }

    [Theory]
    [InlineData("tool_call")]
    [InlineData("Ünïcödé \u00A0name")]
    [InlineData("..")]
    public void NAM_2_Names_are_kept_as_their_UTF_8(string name)
    {
        Span<byte> target = stackalloc byte[Limits.NameBytesMax];
        KeyRules.EncodeName(name, target, out var written);
        Assert.Equal(name, Utf8.GetString(target[..written]));
        KeyRules.CheckName(target[..written]);
    }

    [Fact]
    public void NAM_3_What_belongs_to_the_engine_can_be_read()
    {
        Span<byte> target = stackalloc byte[Limits.KeyBytesMax];
        KeyRules.EncodeKeyForRead("$sys", target, out _);
        KeyRules.EncodeNameForRead("$redacted", target, out var written);
        KeyRules.CheckNameForRead(target[..written]);
        KeyRules.CheckKeyForRead(target[..written]);
    }

    [Theory]
    [InlineData("x")]
    [InlineData("é")]
    [InlineData("\U0001F5FF")]
    public void LIM_1_and_2_Lengths_are_counted_in_bytes_at_n_minus_1_n_and_n_plus_1(string unit)
    {
        Assert.Equal(nameof(Limits.KeyBytesMax), Check(Limits.KeyBytesMax, (text, target) => KeyRules.EncodeKey(text, target, out _)));
        Assert.Equal(nameof(Limits.NameBytesMax), Check(Limits.NameBytesMax, (text, target) => KeyRules.EncodeName(text, target, out _)));
        Assert.Equal(nameof(Limits.KeyBytesMax), Check(Limits.KeyBytesMax, (text, _) => KeyRules.CheckKey(Utf8.GetBytes(text))));
        Assert.Equal(nameof(Limits.NameBytesMax), Check(Limits.NameBytesMax, (text, _) => KeyRules.CheckName(Utf8.GetBytes(text))));

        string Check(int limit, Action<string, byte[]> encode)
        {
            var size = Utf8.GetByteCount(unit);
            var longest = string.Concat(Enumerable.Repeat(unit, limit / size));
            encode(longest[unit.Length..] + "y", new byte[Limits.KeyBytesMax]);
            encode(longest, new byte[Limits.KeyBytesMax]);
            var error = Assert.Throws<LimitException>(() => encode(longest + "y", new byte[Limits.KeyBytesMax]));
            Assert.Equal((limit, limit + 1), (error.Allowed, error.Actual));
            return error.Limit;
        }
    }

    // The short way for ASCII narrows sixteen characters at a time, so what matters is the length and where the odd character stands.
    [Fact]
    public void NAM_1_A_key_behind_its_lead_is_what_the_plain_encoding_says_at_every_length_and_place()
    {
        var target = new byte[1 + Limits.KeyBytesMax];
        foreach (var odd in (ReadOnlySpan<string>)["", "\0", "\x7F", "\x80", "\u00FF", "\u0100", "\u4E00", "\uD800", "\U0001F5FF"])
        {
            for (var length = 1; length <= 70; length++)
            {
                var plain = string.Concat(Enumerable.Range(0, length).Select(i => (char)('!' + i)));
                for (var at = 0; at <= (odd.Length == 0 ? 0 : length); at++)
                    Compare(plain.Insert(at, odd));
            }
        }

        Compare(new string('k', Limits.KeyBytesMax));
        Compare(new string('k', Limits.KeyBytesMax + 1));
        Compare("$" + new string('k', 40));

        void Compare(string key)
        {
            foreach (var isWrite in (ReadOnlySpan<bool>)[true, false])
            {
                var expected = Record.Exception(() => Plainly(key, isWrite));
                var actual = Record.Exception(() => KeyRules.EncodeBehind(0x10, key, isWrite, target).Length);
                Assert.Equal((expected?.GetType(), expected?.Message), (actual?.GetType(), actual?.Message));
                if (expected is null)
                    Assert.Equal([0x10, .. Plainly(key, isWrite)], KeyRules.EncodeBehind(0x10, key, isWrite, target).ToArray());
            }
        }

        static byte[] Plainly(string key, bool isWrite)
        {
            var bytes = new byte[Limits.KeyBytesMax];
            int written;
            if (isWrite)
                KeyRules.EncodeKey(key, bytes, out written);
            else
                KeyRules.EncodeKeyForRead(key, bytes, out written);
            return bytes[..written];
        }
    }

    [Fact]
    public void NAM_1_and_2_Lone_surrogates_and_invalid_UTF_8_are_refused()
    {
        var target = new byte[Limits.KeyBytesMax];
        var tooLong = "\uD800" + new string('x', 2000);
        Assert.Equal(ErrorCode.InvalidKey, Assert.Throws<CairnException>(() => KeyRules.EncodeKey("\uD800", target, out _)).Code);
        Assert.Equal(ErrorCode.InvalidKey, Assert.Throws<CairnException>(() => KeyRules.EncodeKey(tooLong, target, out _)).Code);
        Assert.Equal(ErrorCode.InvalidName, Assert.Throws<CairnException>(() => KeyRules.EncodeName("a\uDC00", target, out _)).Code);
        Assert.Equal(ErrorCode.InvalidKey, Assert.Throws<CairnException>(() => KeyRules.CheckKey([0xED, 0xB0, 0x80])).Code);
        Assert.Equal(ErrorCode.InvalidName, Assert.Throws<CairnException>(() => KeyRules.CheckName([0xFF])).Code);
    }

    [Fact]
    public void NAM_4_Text_compares_as_its_UTF_8_bytes()
    {
        var seed = RandomValues.PrintSeed();
        var values = new RandomValues(seed);
        for (var round = 0; round < 50_000; round++)
        {
            var (a, b) = (values.Text(), values.Text());
            var expected = Math.Sign(Utf8.GetBytes(a).AsSpan().SequenceCompareTo(Utf8.GetBytes(b)));
            Assert.True(expected == Math.Sign(Utf8.Compare(a, b)), $"'{a}' and '{b}', seed={seed}");
        }
    }

    [Fact]
    public void Strict_UTF_8_refuses_what_is_not_valid()
    {
        byte[][] invalid = [[0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xE2, 0x82], [0xFF], [0x80]];
        foreach (var bytes in invalid)
        {
            Assert.False(Utf8.IsValid(bytes));
            Assert.False(Utf8.TryGetString(bytes, out _));
            Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => Utf8.GetString(bytes)).Code);
        }

        Assert.Throws<CairnException>(() => Utf8.GetBytes("\uD83D"));
        Assert.Throws<CairnException>(() => Utf8.GetBytes("\uD83D", new byte[8]));
        Assert.Throws<ArgumentException>(() => Utf8.GetBytes("long", new byte[2]));
    }
}
