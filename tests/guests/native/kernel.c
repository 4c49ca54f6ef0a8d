// Runs a kernel natively: kernel N...; prints the answer for each N.
#include <stdio.h>
#include <stdlib.h>

#include "../kernels/kernel.h"

int main(int count, char **arguments) {
    for (int i = 1; i < count; i++) printf("%lld\n", (long long)run((u32)strtoul(arguments[i], NULL, 10)));
    return 0;
}
