#include "cli/verbs.h"

int main(int argc, char** argv) { return mtyolo::cli::run_command({argv + (argc > 0 ? 1 : 0), argv + argc}); }
