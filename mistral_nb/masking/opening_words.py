"""Words that begin a sentence, which may follow a greeting without a stop: "Hi Where is it".

Promises: few are first names; one that is all the same is seen where a stop follows ("Hi Do,").
"""

_ENGLISH = (
    "a about account after again all also although am and another any anyone are as at because been before both but can't "
    "cannot could couldn't delivery did didn't do does doesn't don't due each every everything following for from further got "
    "had has have haven't he help her here hers his hoping how i i'd i'll i'm i've if in invoice is isn't it it's its just "
    "kindly last let let's many more most much my need needed never new next no nobody not nothing now of ok okay on once one "
    "only or order ordered other our paid parcel payment please pls problem purchased question quick re received recently "
    "regarding sent shall she should since so some someone something sorry still than thank thanks that that's the their then "
    "there there's these they they're this those though thx to today tomorrow tried trying two unfortunately until us want "
    "wanted was we we'd we're we've were what what's when where which while who whom whose why with without wondering would "
    "yes yesterday yet you you're your"
)
_GERMAN = (
    "aber als am anfrage auch auf aus bei bestellung bin bitte da danke das dein deine dem den der des die diese dieser "
    "dieses du ein eine einem einen einer er es euer eure frage fragen für gestern gibt guten habe haben habt hat hatte heute "
    "ich ihr ihre im in ist kann kannst kein keine konto können könnt könnte könnten leider lieferung mein meine meinem "
    "meinen meiner mit nach nicht noch nur ob ohne paket problem probleme rechnung seit sie sind und uns unser unsere unserem "
    "unseren vielen vom von vor wann war warum was wegen wenn wer wie wieso wir wo wurde würde zu zum zur"
)
_DUTCH = (
    "bedankt dat de deze dit een er geen graag heb hebben heeft helaas het hoe ik is jullie kan kunnen kunt mag mijn naar "
    "niet onze ook op voor waar waarom wanneer wat we wie wij zijn"
)
_FRENCH = (
    "avant avec avez avons bonjour c'est ce ceci cela ces cette comment dans de depuis des du en est et il ils j'ai "
    "j'aimerais je la le les ma mais malheureusement merci mes mon ne nos notre nous on où par pas pour pourquoi pourriez "
    "pouvez puis quand que quel quelle qui sans si suite sur un une vos votre vous y être"
)
_SPANISH = (
    "acabo buenas buenos como compré con cuando cuándo cómo de dónde el en es esta este esto estoy está gracias hace hay he "
    "la las lo los me mi mis necesito no nuestra nuestro para pedí podría podrían por porque puede pueden puedo que quería "
    "quiero quisiera quién qué se si soy su sus tengo tuve un ustedes yo"
)
_ITALIAN = (
    "abbiamo alla avete avevo che come con da dal dopo dove gli grazie ho il io la le lo mi mie miei mio non nostra nostro "
    "perché posso potete potreste può quando questa questo se sono un uno vorrei vostra vostro è"
)
_PORTUGUESE = (
    "a agradeço ao as com comprei da de depois do em essa esse esta este eu fiz gostaria isso já meu meus minha minhas na no "
    "nos nossa nosso não o obrigada obrigado onde os para pode podem poderia podiam por porque posso preciso qual quando que "
    "quem quero seu sua tenho um uma é"
)
OPENING_WORDS = frozenset(" ".join([_ENGLISH, _GERMAN, _DUTCH, _FRENCH, _SPANISH, _ITALIAN, _PORTUGUESE]).split())
