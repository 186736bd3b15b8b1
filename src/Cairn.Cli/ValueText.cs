using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;

namespace Cairn.Cli;

/// <summary>Values on the command line. The one rule: the text is a String, unless --type says otherwise; <c>-</c> alone stands for
/// the whole standard input. Nothing is guessed from how a text looks.</summary>
internal static class ValueText
{
    private static readonly string[] Kinds = ["string", "json", "int", "float", "bool", "null", "bytes"];

    internal static Option<string> TypeOption(string fallback = "string")
    {
        var option = new Option<string>("--type")
        {
            Description = $"How to read the value: string, json, int, float, bool, null, or bytes (base64). Default: {fallback}.",
            HelpName = "KIND",
            DefaultValueFactory = _ => fallback,
        };
        option.AcceptOnlyFromAmong(Kinds);
        return option;
    }

    /// <summary>Reads a value; <paramref name="text"/> is null only for the type null.</summary>
    internal static Value Read(Call call, string? text, string type)
    {
        if (type == "null")
            return text is null ? Value.Null : throw new UsageException("--type null takes no value.");
        if (text is null)
            throw new UsageException("The value is missing. Give one, or - to read standard input, or --type null.");
        return Parse(text == "-" ? ReadInput(call, type) : text, type);
    }

    internal static Value Parse(string text, string type) => type switch
    {
        "string" => text,
        "json" => Value.FromJson(text),
        "int" when long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) => number,
        "float" => Float(text),
        "bool" when text is "true" or "false" => text == "true",
        "bytes" => Bytes(text),
        _ => throw new RefusedException(ErrorCode.InvalidArgument, $"The text is not of type {type}."),
    };

    /// <summary>Reads <c>KEY=VALUE</c>; the first equals sign ends the key.</summary>
    /// <param name="name">What stands before the equals sign.</param>
    internal static KeyValuePair<string, Value> Pair(string text, string type, string name)
    {
        var equals = text.IndexOf('=', StringComparison.Ordinal);
        return equals > 0
            ? new(text[..equals], Parse(text[(equals + 1)..], type))
            : throw new UsageException($"Give pairs as {name}=VALUE, or - alone.");
    }

    /// <summary>Reads a JSON object of things to write.</summary>
    /// <param name="names">What its names are.</param>
    internal static IReadOnlyDictionary<string, Value> Members(string json, string names) =>
        Value.FromJson(json) is { Kind: ValueKind.Object } found
            ? found.AsObject()
            : throw new RefusedException(ErrorCode.WrongType, $"Standard input must be one JSON object: its names are the {names}.");

    // A String is kept as given, its last newline too; the other types do not care about white space around them.
    private static string ReadInput(Call call, string type)
    {
        var text = call.Input;
        return type == "string" ? text : text.Trim();
    }

    private static Value Float(string text) => text switch
    {
        "NaN" => double.NaN,
        "+Inf" => double.PositiveInfinity,
        "-Inf" => double.NegativeInfinity,
        _ when double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number) => number,
        _ => throw new RefusedException(ErrorCode.InvalidArgument, "The text is not a float. Write 1.5, 1e9, NaN, +Inf or -Inf."),
    };

    private static Value Bytes(string text)
    {
        try
        {
            return Convert.FromBase64String(text);
        }
        catch (FormatException)
        {
            throw new RefusedException(ErrorCode.InvalidArgument, "The text is not base64.");
        }
    }
}

/// <summary>Arguments and options that several verbs share.</summary>
internal static class Parts
{
    internal static Argument<string> Key() => new("key") { Description = "1 to 1,024 bytes of UTF-8, not beginning with $." };

    internal static Argument<string?> Value(string name = "value") => new(name)
    {
        Description = "A String unless --type says otherwise; - reads standard input.",
        Arity = ArgumentArity.ZeroOrOne,
    };

    internal static Option<TimeSpan?> Ttl() => new("--ttl")
    {
        Description = "Expires so long after the commit: 500ms, 30s, 10m, 2h, 7d.",
        HelpName = "TIME",
        CustomParser = ParseDuration,
    };

    internal static Option<int?> Limit(string what) => new("--limit")
    {
        Description = $"At most so many {what}. Default: all.",
        HelpName = "N",
        CustomParser = result => ParseCount(result),
    };

    internal static Option<DateTimeOffset?> Time(string name, string what) => new(name)
    {
        Description = what + " 2026-01-31T12:00:00Z; without a zone: UTC.",
        HelpName = "TIME",
        CustomParser = result => ParseTime(result),
    };

    internal static Argument<DateTimeOffset?> TimeArgument(string name, string what) => new(name)
    {
        Description = what + ": 2026-01-31T12:00:00Z; without a zone: UTC.",
        CustomParser = ParseTime,
    };

    internal static DateTimeOffset? ParseTime(ArgumentResult result)
    {
        if (TryParseTime(result.Tokens[^1].Value, out var time))
            return time;
        result.AddError($"'{result.Tokens[^1].Value}' is no time. Write 2026-01-31T12:00:00Z.");
        return null;
    }

    internal static bool TryParseTime(string text, out DateTimeOffset time)
    {
        time = default;
        return text.Contains('-', StringComparison.Ordinal)
            && DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out time);
    }

    internal static Option<long?> Number(string name, string what) => new(name) { Description = what, HelpName = "N" };

    internal static TimeSpan? ParseDuration(ArgumentResult result)
    {
        if (TryParseDuration(result.Tokens[^1].Value, out var duration))
            return duration;
        result.AddError($"'{result.Tokens[^1].Value}' is no time. Write 500ms, 30s, 10m, 2h or 7d.");
        return null;
    }

    internal static bool TryParseDuration(string text, out TimeSpan duration)
    {
        duration = default;
        var digits = text.TakeWhile(char.IsAsciiDigit).Count();
        if (digits == 0 || !long.TryParse(text.AsSpan(0, digits), NumberStyles.None, CultureInfo.InvariantCulture, out var number))
            return false;
        var unit = text[digits..] switch
        {
            "ms" => TimeSpan.TicksPerMillisecond,
            "s" => TimeSpan.TicksPerSecond,
            "m" => TimeSpan.TicksPerMinute,
            "h" => TimeSpan.TicksPerHour,
            "d" => TimeSpan.TicksPerDay,
            _ => 0,
        };
        if (unit == 0 || number > long.MaxValue / unit)
            return false;
        duration = new TimeSpan(number * unit);
        return true;
    }

    internal static int? ParseCount(ArgumentResult result)
    {
        if (int.TryParse(result.Tokens[^1].Value, NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count > 0)
            return count;
        result.AddError($"'{result.Tokens[^1].Value}' is no count. Give a whole number from 1.");
        return null;
    }
}
