using System.CommandLine;

namespace Cairn.Cli.Verbs;

/// <summary><c>cairn completion SHELL</c>: a script that asks the tool itself, by its suggest directive, so it never grows old.</summary>
internal static class Completion
{
    private const string Bash = """
        # cairn completion for bash:  source <(cairn completion bash)
        _cairn() {
          local word="${COMP_WORDS[COMP_CWORD]}" line="${COMP_LINE:0:COMP_POINT}" IFS=$'\n'
          line="${line#* }"; line="${line%"$word"}"
          COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" "[suggest:${#line}]" "$line" 2>/dev/null)" -- "$word"))
        }
        complete -o default -F _cairn cairn ./cairn
        """;

    private const string Zsh = """
        #compdef cairn
        # cairn completion for zsh:  source <(cairn completion zsh)
        _cairn() {
          local line="${BUFFER[1,CURSOR]}"
          line="${line#* }"; line="${line%$PREFIX}"
          local -a found
          found=("${(@f)$("${words[1]}" "[suggest:${#line}]" "$line" 2>/dev/null)}")
          compadd -- "${found[@]}"
        }
        compdef _cairn cairn ./cairn
        """;

    private const string Fish = """
        # cairn completion for fish:  cairn completion fish | source
        function __cairn_suggest
          set -l line (commandline -cp | string replace -r '^\S+\s' '' | string replace -r '\S+$' '')
          cairn "[suggest:"(string length -- "$line")"]" "$line" 2>/dev/null
        end
        complete -c cairn -f -a '(__cairn_suggest)'
        """;

    internal static Verb Verb()
    {
        var shell = new Argument<string>("shell") { Description = "bash, zsh or fish." };
        shell.AcceptOnlyFromAmong("bash", "zsh", "fish");
        return new Verb(
            "completion", "Prints a script that completes verbs and options in a shell.", "source <(cairn completion bash)", Needs.Nothing,
            call =>
            {
                var script = call.Get(shell) switch
                {
                    "bash" => Bash,
                    "zsh" => Zsh,
                    _ => Fish,
                };
                return call.Answer(script, ("shell", call.Get(shell)), ("script", script));
            },
            shell);
    }
}
