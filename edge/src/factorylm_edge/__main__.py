"""python -m factorylm_edge"""

from factorylm_edge.command import main

if __name__ == "__main__":
    main()
