"""python -m factorylm_s7"""

from factorylm_s7.server import main

if __name__ == "__main__":
    main()
