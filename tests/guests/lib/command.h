#ifndef GUEST_COMMAND_H
#define GUEST_COMMAND_H

// What the program does; its answer is the exit code.
int command_main(void);

#endif
