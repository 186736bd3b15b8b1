// Keys are encoded into kilobyte buffers on the stack; clearing them first would cost more than the encoding.
[module: System.Runtime.CompilerServices.SkipLocalsInit]
