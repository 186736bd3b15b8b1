global using Cairn.Diagnostics;
