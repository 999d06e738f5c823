"""FactoryLM edge"""
