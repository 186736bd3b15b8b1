global using Cairn.Diagnostics;
global using Cairn.Tables;
