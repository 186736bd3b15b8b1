using System.Text;
using Cairn;
using Cairn.Cli;

var strict = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);
using var output = new StreamWriter(Console.OpenStandardOutput(), strict, bufferSize: 8192);
using var error = new StreamWriter(Console.OpenStandardError(), strict) { AutoFlush = true };
using var input = new StreamReader(Console.OpenStandardInput(), strict);
var streams = new Streams(output, error, input) { IsTerminal = Streams.StandardOutputIsTerminal };
return RawArguments.AreText(args)
    ? CairnCli.Run(args, streams)
    : Failures.Report(
        new RefusedException(ErrorCode.InvalidArgument, "The command line is not valid UTF-8. Give text in UTF-8, or bytes as base64."),
        streams, args.Contains(GlobalOptions.JsonName));
