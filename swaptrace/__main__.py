from swaptrace.cli import main

main()
