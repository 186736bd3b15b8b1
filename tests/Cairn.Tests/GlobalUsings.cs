global using Cairn.Tables;
