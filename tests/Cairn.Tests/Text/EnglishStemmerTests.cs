using System.Text;
using Cairn.Tests.Tidy;
using Cairn.Text;
using Xunit;

namespace Cairn.Tests.Text;

public class EnglishStemmerTests
{
    private const string Folder = "tests/Cairn.Tests/Text/Fixtures/snowball/";

    // The sample vocabulary that comes with Snowball 3.1, and what each word of it becomes.
    [Fact]
    [Trait("Requirement", "SRCH-13")]
    public void The_whole_vocabulary_of_Snowball_has_its_stems()
    {
        var words = Repository.Read(Folder + "voc.txt").Split('\n', StringSplitOptions.RemoveEmptyEntries);
        var stems = Repository.Read(Folder + "output.txt").Split('\n');
        Assert.Equal(42_649, words.Length);
        var wrong = new List<string>();
        for (var i = 0; i < words.Length; i++)
        {
            if (Stem(words[i]) is var stem && stem != stems[i])
                wrong.Add($"{words[i]}: {stem}, not {stems[i]}");
        }

        Repository.Refuse(wrong, "Stems:");
    }

    [Fact]
    [Trait("Kind", "Random")]
    public void Any_letters_have_a_stem_that_is_not_longer()
    {
        var random = new Random((int)Seeds.Begin(nameof(Any_letters_have_a_stem_that_is_not_longer)));
        string[] parts =
        [
            "ing", "ed", "eed", "ly", "y", "s", "ies", "ational", "bli", "iviti", "li", "past", "inter", "e", "l", "ll", "'s", "'", "ous",
            "ness", "at", "iz", "bb", "a", "o", "q", "w",
        ];
        var rounds = Seeds.Scaled(20_000);
        for (var round = 0; round < rounds; round++)
        {
            var word = string.Concat(Enumerable.Range(0, random.Next(1, 5)).Select(_ => parts[random.Next(parts.Length)]));
            var stem = Stem(word);
            Assert.InRange(stem.Length, 0, word.Length);
            Assert.DoesNotContain("Y", stem, StringComparison.Ordinal);
        }
    }

    internal static string Stem(string word)
    {
        var bytes = Encoding.UTF8.GetBytes(word);
        return Encoding.UTF8.GetString(bytes, 0, EnglishStemmer.Stem(bytes));
    }
}
