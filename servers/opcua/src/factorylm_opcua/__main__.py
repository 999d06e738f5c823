"""python -m factorylm_opcua"""

from factorylm_opcua.server import main

if __name__ == "__main__":
    main()
