"""python -m factorylm_enip"""

from factorylm_enip.server import main

if __name__ == "__main__":
    main()
