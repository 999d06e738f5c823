"""Modbus/TCP Security: TLS with certificates on both sides (Modbus/TCP Security V36, 2021)."""

import ssl

from factorylm_modbus.dialect import DeviceOptions


def context_of(options: DeviceOptions) -> ssl.SSLContext:
    """What to trust and what to show; the device's certificate and name are always checked."""
    context = ssl.create_default_context(cafile=options.tls_ca or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if options.tls_cert:
        context.load_cert_chain(options.tls_cert, options.tls_key)
    return context
