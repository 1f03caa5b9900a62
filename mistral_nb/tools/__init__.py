"""Tools: functions that a model may call, and the conversation in which it does.

Promises: a door like the magic: it talks to the session and to nothing below it. `function_tool` makes the tools, `conversation`
calls them, `frame_tools` is a kit of tools for one DataFrame.
"""
