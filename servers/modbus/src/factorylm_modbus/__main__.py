"""python -m factorylm_modbus"""

from factorylm_modbus.server import main

if __name__ == "__main__":
    main()
