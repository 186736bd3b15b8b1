using System.Text;
using Cairn.Cli;

var strict = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);
using var output = new StreamWriter(Console.OpenStandardOutput(), strict, bufferSize: 8192);
using var error = new StreamWriter(Console.OpenStandardError(), strict) { AutoFlush = true };
using var input = new StreamReader(Console.OpenStandardInput(), strict);
return CairnCli.Run(args, new Streams(output, error, input) { IsTerminal = Streams.StandardOutputIsTerminal });
