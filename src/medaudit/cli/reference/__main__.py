from medaudit.cli.reference import main

main()
