namespace Cairn.Text;

/// <summary>The English (Porter2) stemmer of Snowball 3.1, written from its published definition (M. F. Porter, R. Boulton and others,
/// "The English (Porter2) stemming algorithm", snowballstem.org). Its whole sample vocabulary is a test.</summary>
/// <remarks>Words are bytes: lower-case ASCII letters and the apostrophe. A stem is never longer than its word, so it is made in place. In
/// here a <c>y</c> that is a consonant is a capital one. R1 is what stands behind the first non-vowel that follows a vowel, R2 the same
/// again inside R1; both are kept as the length of what is before them.</remarks>
internal ref struct EnglishStemmer
{
    private readonly Span<byte> _word;
    private int _length;
    private int _beforeR1;
    private int _beforeR2;

    private EnglishStemmer(Span<byte> word, int length)
    {
        _word = word;
        _length = length;
    }

    private readonly ReadOnlySpan<byte> Word => _word[.._length];

    /// <summary>Makes the stem of a word in place.</summary>
    /// <returns>Its length, at most that of the word.</returns>
    internal static int Stem(Span<byte> word)
    {
        if (word.Length < 3)
            return word.Length;
        if (TryException(word, out var length))
            return length;
        length = word.Length;
        if (word[0] == '\'')
        {
            word[1..].CopyTo(word);
            length--;
        }

        var stemmer = new EnglishStemmer(word, length);
        stemmer.Run();
        return stemmer._length;
    }

    private void Run()
    {
        var hasConsonantY = MarkConsonantY();
        MarkRegions();
        RemovePossessive();
        RemovePlural();
        RemovePastAndProgressive();
        ReplaceFinalY();
        ReplaceDoubleSuffix();
        ReplaceInR1();
        RemoveInR2();
        RemoveFinalEOrL();
        if (hasConsonantY)
            _word[.._length].Replace((byte)'Y', (byte)'y');
    }

    // ---- words that go their own way ------------------------------------------------------------------------------------------

    private static bool TryException(Span<byte> word, out int length)
    {
        length = word.Length;
        if (length > 6)
            return false;
        ReadOnlySpan<byte> stem = word switch
        {
            [(byte)'s', (byte)'k', (byte)'i', (byte)'s'] => "ski"u8,
            [(byte)'s', (byte)'k', (byte)'i', (byte)'e', (byte)'s'] => "sky"u8,
            [(byte)'i', (byte)'d', (byte)'l', (byte)'y'] => "idl"u8,
            [(byte)'g', (byte)'e', (byte)'n', (byte)'t', (byte)'l', (byte)'y'] => "gentl"u8,
            [(byte)'u', (byte)'g', (byte)'l', (byte)'y'] => "ugli"u8,
            [(byte)'e', (byte)'a', (byte)'r', (byte)'l', (byte)'y'] => "earli"u8,
            [(byte)'o', (byte)'n', (byte)'l', (byte)'y'] => "onli"u8,
            [(byte)'s', (byte)'i', (byte)'n', (byte)'g', (byte)'l', (byte)'y'] => "singl"u8,
            _ => default,
        };
        if (stem.IsEmpty)
        {
            return word.SequenceEqual("sky"u8) || word.SequenceEqual("news"u8) || word.SequenceEqual("howe"u8)
                || word.SequenceEqual("atlas"u8) || word.SequenceEqual("cosmos"u8) || word.SequenceEqual("bias"u8)
                || word.SequenceEqual("andes"u8);
        }

        stem.CopyTo(word);
        length = stem.Length;
        return true;
    }

    // ---- regions --------------------------------------------------------------------------------------------------------------

    private readonly bool MarkConsonantY()
    {
        var any = false;
        for (var i = 0; i < _length; i++)
        {
            if (_word[i] != 'y' || (i > 0 && !IsVowel(_word[i - 1])))
                continue;
            _word[i] = (byte)'Y';
            any = true;
        }

        return any;
    }

    private void MarkRegions()
    {
        var prefix = Word switch
        {
            [(byte)'g', (byte)'e', (byte)'n', (byte)'e', (byte)'r', ..] => 5,
            [(byte)'c', (byte)'o', (byte)'m', (byte)'m', (byte)'u', (byte)'n', ..] => 6,
            [(byte)'a', (byte)'r', (byte)'s', (byte)'e', (byte)'n', ..] => 5,
            [(byte)'p', (byte)'a', (byte)'s', (byte)'t', ..] => 4,
            [(byte)'u', (byte)'n', (byte)'i', (byte)'v', (byte)'e', (byte)'r', (byte)'s', ..] => 7,
            [(byte)'l', (byte)'a', (byte)'t', (byte)'e', (byte)'r', ..] => 5,
            [(byte)'e', (byte)'m', (byte)'e', (byte)'r', (byte)'g', ..] => 5,
            [(byte)'o', (byte)'r', (byte)'g', (byte)'a', (byte)'n', ..] => 5,
            [(byte)'i', (byte)'n', (byte)'t', (byte)'e', (byte)'r', ..] => 5,
            _ => 0,
        };
        _beforeR1 = prefix > 0 ? prefix : Behind(0);
        _beforeR2 = Behind(_beforeR1);
    }

    // Behind the first non-vowel that follows a vowel, from a place on; the end of the word when there is none.
    private readonly int Behind(int from)
    {
        var i = from;
        while (i < _length && !IsVowel(_word[i]))
            i++;
        while (i < _length && IsVowel(_word[i]))
            i++;
        return i < _length ? i + 1 : _length;
    }

    // ---- steps, in the order of the definition ----------------------------------------------------------------------------------

    // Step 0.
    private void RemovePossessive()
    {
        if (Ends("'s'"u8))
            _length -= 3;
        else if (Ends("'s"u8))
            _length -= 2;
        else if (Ends("'"u8))
            _length--;
    }

    // Step 1a.
    private void RemovePlural()
    {
        if (Ends("sses"u8))
        {
            _length -= 2;
        }
        else if (Ends("ied"u8) || Ends("ies"u8))
        {
            _length -= _length > 4 ? 2 : 1;
        }
        else if (Ends("s"u8) && !Ends("us"u8) && !Ends("ss"u8) && HasVowel(_length - 2))
        {
            _length--;
        }
    }

    // Step 1b.
    private void RemovePastAndProgressive()
    {
        if (Ends("eedly"u8) || Ends("eed"u8))
        {
            var before = _length - (Ends("eed"u8) ? 3 : 5);
            if (before >= _beforeR1 && !IsWord(before, "proc"u8) && !IsWord(before, "exc"u8) && !IsWord(before, "succ"u8))
                _length = before + 2;
            return;
        }

        var suffix = Ends("ingly"u8) ? 5 : Ends("edly"u8) ? 4 : Ends("ing"u8) ? 3 : Ends("ed"u8) ? 2 : 0;
        if (suffix == 0)
            return;
        var stem = _length - suffix;
        if (suffix == 3)
        {
            if (stem == 2 && _word[1] == 'y' && !IsVowel(_word[0]))
            {
                "ie"u8.CopyTo(_word[1..]);
                _length = 3;
                return;
            }

            if (IsWord(stem, "inn"u8) || IsWord(stem, "out"u8) || IsWord(stem, "cann"u8) || IsWord(stem, "herr"u8)
                || IsWord(stem, "earr"u8) || IsWord(stem, "even"u8))
            {
                return;
            }
        }

        if (!HasVowel(stem))
            return;
        _length = stem;
        if (Ends("at"u8) || Ends("bl"u8) || Ends("iz"u8))
        {
            _word[_length++] = (byte)'e';
        }
        else if (EndsInDouble())
        {
            if (_length != 3 || _word[0] is not ((byte)'a' or (byte)'e' or (byte)'o'))
                _length--;
        }
        else if (_length == _beforeR1 && EndsInShortSyllable(_length))
        {
            _word[_length++] = (byte)'e';
        }
    }

    // Step 1c.
    private readonly void ReplaceFinalY()
    {
        if (_length > 2 && _word[_length - 1] is (byte)'y' or (byte)'Y' && !IsVowel(_word[_length - 2]))
            _word[_length - 1] = (byte)'i';
    }

    // Step 2: of the suffixes that the word has the longest one counts, and it must lie in R1.
    private void ReplaceDoubleSuffix()
    {
        if (_length < 3)
            return;
        switch (_word[_length - 1])
        {
            case (byte)'l':
                _ = InR1("ational"u8, "ate"u8) || InR1("tional"u8, "tion"u8);
                break;
            case (byte)'r':
                _ = InR1("izer"u8, "ize"u8) || InR1("ator"u8, "ate"u8);
                break;
            case (byte)'n':
                _ = InR1("ization"u8, "ize"u8) || InR1("ation"u8, "ate"u8);
                break;
            case (byte)'m':
                InR1("alism"u8, "al"u8);
                break;
            case (byte)'s':
                _ = InR1("fulness"u8, "ful"u8) || InR1("ousness"u8, "ous"u8) || InR1("iveness"u8, "ive"u8);
                break;
            case (byte)'t':
                InR1("ogist"u8, "og"u8);
                break;
            case (byte)'i':
                ReplaceDoubleSuffixInI();
                break;
        }
    }

    private void ReplaceDoubleSuffixInI()
    {
        switch (_word[_length - 2])
        {
            case (byte)'c':
                _ = InR1("enci"u8, "ence"u8) || InR1("anci"u8, "ance"u8);
                break;
            case (byte)'t':
                _ = InR1("biliti"u8, "ble"u8) || InR1("aliti"u8, "al"u8) || InR1("iviti"u8, "ive"u8);
                break;
            case (byte)'g':
                if (_length > 3 && Ends("ogi"u8) && _word[_length - 4] == 'l')
                    InR1("ogi"u8, "og"u8);
                break;
            case (byte)'l':
                if (InR1("lessli"u8, "less"u8) || InR1("entli"u8, "ent"u8) || InR1("ousli"u8, "ous"u8) || InR1("fulli"u8, "ful"u8)
                    || InR1("abli"u8, "able"u8) || InR1("alli"u8, "al"u8) || InR1("bli"u8, "ble"u8))
                {
                    break;
                }

                if (_length - 2 >= _beforeR1 && _length > 2 && "cdeghkmnrt"u8.Contains(_word[_length - 3]))
                    _length -= 2;
                break;
        }
    }

    // Step 3.
    private void ReplaceInR1()
    {
        if (InR1("ational"u8, "ate"u8) || InR1("tional"u8, "tion"u8) || InR1("alize"u8, "al"u8) || InR1("icate"u8, "ic"u8)
            || InR1("iciti"u8, "ic"u8) || InR1("ical"u8, "ic"u8) || InR1("ful"u8, default) || InR1("ness"u8, default))
        {
            return;
        }

        if (Ends("ative"u8) && _length - 5 >= _beforeR1 && _length - 5 >= _beforeR2)
            _length -= 5;
    }

    // Step 4.
    private void RemoveInR2()
    {
        if (_length < 2)
            return;
        var suffix = SuffixOfStep4();
        var stem = _length - suffix;
        if (suffix == 0 || stem < _beforeR2)
            return;
        if (Ends("ion"u8) && (stem == 0 || _word[stem - 1] is not ((byte)'s' or (byte)'t')))
            return;
        _length = stem;
    }

    private readonly int SuffixOfStep4() => _word[_length - 1] switch
    {
        (byte)'l' => Ends("al"u8) ? 2 : 0,
        (byte)'r' => Ends("er"u8) ? 2 : 0,
        (byte)'c' => Ends("ic"u8) ? 2 : 0,
        (byte)'m' => Ends("ism"u8) ? 3 : 0,
        (byte)'i' => Ends("iti"u8) ? 3 : 0,
        (byte)'s' => Ends("ous"u8) ? 3 : 0,
        (byte)'n' => Ends("ion"u8) ? 3 : 0,
        (byte)'t' => Ends("ement"u8) ? 5 : Ends("ment"u8) ? 4 : Ends("ent"u8) || Ends("ant"u8) ? 3 : 0,
        (byte)'e' => Ends("ance"u8) || Ends("ence"u8) || Ends("able"u8) || Ends("ible"u8) ? 4
            : Ends("ate"u8) || Ends("ive"u8) || Ends("ize"u8) ? 3 : 0,
        _ => 0,
    };

    // Step 5.
    private void RemoveFinalEOrL()
    {
        if (_length == 0)
            return;
        var stem = _length - 1;
        switch (_word[stem])
        {
            case (byte)'e' when stem >= _beforeR2 || (stem >= _beforeR1 && !EndsInShortSyllable(stem)):
            case (byte)'l' when stem >= _beforeR2 && stem > 0 && _word[stem - 1] == 'l':
                _length = stem;
                break;
        }
    }

    // ---- questions ------------------------------------------------------------------------------------------------------------

    private static bool IsVowel(byte letter) => letter is (byte)'a' or (byte)'e' or (byte)'i' or (byte)'o' or (byte)'u' or (byte)'y';

    private readonly bool Ends(ReadOnlySpan<byte> suffix) => Word.EndsWith(suffix);

    // What is before a suffix is exactly this.
    private readonly bool IsWord(int length, ReadOnlySpan<byte> word) => _word[..length].SequenceEqual(word);

    private readonly bool HasVowel(int length)
    {
        for (var i = 0; i < length; i++)
        {
            if (IsVowel(_word[i]))
                return true;
        }

        return false;
    }

    private readonly bool EndsInDouble() => _length > 1 && _word[_length - 1] == _word[_length - 2]
        && "bdfgmnprt"u8.Contains(_word[_length - 1]);

    private readonly bool EndsInShortSyllable(int length)
    {
        var word = _word[..length];
        if (word.EndsWith("past"u8))
            return true;
        if (length < 2 || IsVowel(word[^1]) || !IsVowel(word[^2]))
            return false;
        return length == 2 || (!IsVowel(word[^3]) && word[^1] is not ((byte)'w' or (byte)'x' or (byte)'Y'));
    }

    // True when the word has the suffix, replaced or not: then no shorter one is looked for.
    private bool InR1(ReadOnlySpan<byte> suffix, ReadOnlySpan<byte> replacement)
    {
        if (!Ends(suffix))
            return false;
        var stem = _length - suffix.Length;
        if (stem < _beforeR1)
            return true;
        replacement.CopyTo(_word[stem..]);
        _length = stem + replacement.Length;
        return true;
    }
}
